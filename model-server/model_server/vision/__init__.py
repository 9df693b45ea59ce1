"""The data plane: picture to tensors, inference, tensors to detections or classes.

Independent of protocols and web frameworks.
"""
