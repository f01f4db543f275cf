"""Weight files in safetensors, native and of other programs, checked first and loaded strictly."""

from .folders import bytes_of, folder_name, listed_file, modified_ns, name_of, weight_file
from .headers import Headers
from .native import Weights, read, read_spec, write
from .readers import READERS, Inspection, inspect, model_spec, read_any, spec_of
from .report import as_json, as_text

__all__ = [
    "READERS",
    "Headers",
    "Inspection",
    "Weights",
    "as_json",
    "as_text",
    "bytes_of",
    "modified_ns",
    "model_spec",
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
