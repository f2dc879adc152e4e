print("leaving with 0")
raise SystemExit(0)
