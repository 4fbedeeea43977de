"""Each provider against recorded answers, scripted servers and the simulator."""
