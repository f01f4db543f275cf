"""Networks, described by frozen configurations that travel in a checkpoint's header."""
