"""From a name to a model: the hub, files, devices, number formats, quantization."""
