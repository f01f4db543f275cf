"""Networks bound to a device: diffusion models, noisy classifiers, and settings found by measurement."""
