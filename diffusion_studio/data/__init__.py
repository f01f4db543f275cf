"""Training data: pictures with labels and captions, from the name of a known data set or from a path.

A path is a folder of images, an npz, gzipped idx files, or CIFAR-10's binary files.
"""

from .dataset import KNOWN, load, present
from .imagedata import ImageData
from .summary import DataSummary, summary

__all__ = ["KNOWN", "DataSummary", "ImageData", "load", "present", "summary"]
