"""Training: a generator of TrainSteps over one run folder that can be stopped and resumed."""
