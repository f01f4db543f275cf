"""Training: a generator of `TrainStep`s over a run folder, which can be stopped and resumed."""
