"""The domain: pictures in, findings out. Knows nothing of HTTP, of training or of TensorFlow."""
