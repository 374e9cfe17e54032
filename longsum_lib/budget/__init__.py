"""Memory in numbers: formulas, what is free, what fits. Takes numbers, never names of models."""
