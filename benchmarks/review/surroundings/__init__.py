"""Surroundings in which minibert was not tried before: other processes, disks, clocks, languages and outputs."""
