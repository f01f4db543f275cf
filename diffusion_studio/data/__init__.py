"""Pictures to train on, with labels and captions: a known data set's name, or a path to a folder of
images, an npz, gzipped idx files or CIFAR-10's binary ones.
"""

from .dataset import KNOWN, load, present
from .imagedata import ImageData
from .summary import DataSummary, summary

__all__ = ["KNOWN", "DataSummary", "ImageData", "load", "present", "summary"]
