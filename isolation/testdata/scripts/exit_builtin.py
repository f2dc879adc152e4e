print("the site module's exit")
exit(2)
