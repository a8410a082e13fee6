"""Speed, load, repeatability and accuracy. Each module prints a table and writes JSON to benchmarks/results/."""
