"""Networks, and the frozen configurations that describe them in the headers of checkpoints."""
