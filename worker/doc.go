// Package worker runs the jobs of a worker's pools on supervised interpreters.
//
// One job's way, each step a function:
//
//	Source ─▶ intake.admit ─▶ backlog ─▶ slot.run ─▶ Interpreter.Do ─▶ toResult ─▶ pool.settle
//	(fetch)   decode, refuse,  bounded    one job      pyproc           status,      store, reply,
//	          answer, expire   in time    at a time                     fault        confirmed ack
//
// A Worker has pools; a pool has one intake goroutine, which owns the Source
// and asks for as many jobs as there is room, and one goroutine a slot, which
// owns the slot's interpreter:
//
//	             start ok               job                 done
//	starting ─────────────▶ idle ─────────────▶ busy ─────────────▶ idle
//	   ▲  │ start failed      │ died, budget      │ killed, died, tainted
//	   │  ▼                   ▼                   ▼
//	backoff                starting            starting
//
// and from every state: drain ─▶ stopped.
//
// Three contexts keep stopping legible: fetching ends first, then running (at
// the drain deadline, which kills and gives back), and settling last.
package worker
