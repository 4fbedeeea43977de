"""What watches the platform from outside: the definitions of boards, and what else Prometheus and people look at."""
