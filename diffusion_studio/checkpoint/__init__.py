"""Weight files: safetensors only, checked before memory is taken, loaded strictly; ours and other
programs'.
"""

from .folders import bytes_of, changed, folder_name, listed_file, name_of, weight_file
from .headers import Headers
from .native import Weights, read, read_spec, write
from .readers import READERS, Inspection, drawing, inspect, read_any, spec_of
from .report import as_json, as_text

__all__ = [
    "READERS",
    "Headers",
    "Inspection",
    "Weights",
    "as_json",
    "as_text",
    "bytes_of",
    "changed",
    "drawing",
    "folder_name",
    "inspect",
    "listed_file",
    "name_of",
    "read",
    "read_any",
    "read_spec",
    "spec_of",
    "weight_file",
    "write",
]
