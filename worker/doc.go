// Package worker runs the jobs of a worker's pools on supervised interpreters.
//
// One job's way, each step a function:
//
//	Source ─▶ intake.admit ─▶ backlog ─▶ slot.run ─▶ Interpreter.Do ─▶ toResult ─▶ pool.settle
//	(fetch)   decode, refuse,  bounded    one job      pyproc           status,      store, reply,
//	          answer, expire   in time    at a time                     fault        confirmed ack
//
// A Worker has pools; a pool has one intake goroutine, which owns the Source
// and asks for as many jobs as there is room, one nursery goroutine, which owns
// the interpreters that no slot has, and one goroutine a slot, which owns the
// slot's state and its interpreter. lifecycle.go has the events of that state:
//
//	                 offer               job
//	     starting ─────────────▶ idle ─────────────▶ busy
//	      ▲ │  ▲ ◀───────────── │ ▲  ◀─────────────  │ │
//	retry │ │  │   worn out,     └─┘   ended         │ │ drain
//	      │ ▼  │   died          offer, when worn    │ ▼
//	    backoff└──────────────────────────────────── ┘ draining
//	 start failed            killed, crashed, tainted   │ ended
//	                                                    ▼
//	   from starting, backoff and idle: drain ─────▶ stopped ── begin ─▶ starting
//
// A successor is warm before the slot parts with its interpreter, and the slot swaps
// them between two jobs: no job is ever handed to an interpreter that is ending. The
// nursery starts one whenever fewer processes live than slots and spares are wanted.
//
// A shift is the time from a pool's start to its drain; after one another may begin.
//
// Three contexts keep stopping legible: fetching ends first, then running (at
// the drain deadline, which kills and gives back), and settling last.
package worker
