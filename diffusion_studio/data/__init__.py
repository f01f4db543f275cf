"""Pictures to train on: a known data set's name, or a path to gzipped idx files, an npz or a folder of images."""

from .dataset import KNOWN, ImageData, load

__all__ = ["KNOWN", "ImageData", "load"]
