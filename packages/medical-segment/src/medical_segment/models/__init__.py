"""The two architectures: tensors in, tensors out."""
