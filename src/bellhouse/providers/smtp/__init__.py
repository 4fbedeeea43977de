"""Any SMTP relay, over pooled and pipelined connections."""
