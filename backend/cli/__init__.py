"""The console command `redrive`. Thin: each command reads its options, calls one function and prints the answer."""
