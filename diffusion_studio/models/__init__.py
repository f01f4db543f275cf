"""Networks bound to a device: models that denoise, classifiers that guide them, settings that a
measurement finds.
"""
