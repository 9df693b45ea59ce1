"""The data plane: pictures to tensors, inference, tensors to detections or classes.

Knows no protocol and no web framework.
"""
