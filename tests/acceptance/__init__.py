"""Black-box tests: real processes, spoken to over HTTP and the command line."""
