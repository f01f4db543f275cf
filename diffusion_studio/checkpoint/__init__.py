"""Weight files: safetensors only, checked before memory is taken, loaded strictly; ours and other programs'."""

from .native import Weights, read, read_spec, write
from .readers import READERS, inspect, read_any, spec_of, weight_file

__all__ = ["READERS", "Weights", "inspect", "read", "read_any", "read_spec", "spec_of", "weight_file", "write"]
