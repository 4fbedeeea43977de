"""Facts in, a decision with its reasons out: may she hear this, where and when, and if not, why not."""
