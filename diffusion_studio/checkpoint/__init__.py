"""Weight files: safetensors only, checked before memory is taken, loaded strictly; ours and other programs'."""

from .native import Weights, read, read_spec, write
from .readers import READERS, Inspection, drawing, inspect, listed_file, read_any, spec_of, weight_file
from .report import as_json, as_text

__all__ = ["READERS", "Inspection", "Weights", "as_json", "as_text", "drawing", "inspect", "listed_file", "read", "read_any",
           "read_spec", "spec_of", "weight_file", "write"]
