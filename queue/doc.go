// Package queue is the wire contract of molt on NATS JetStream: what jobs and
// results look like, where they go, and how exactly one result a job comes
// about.
//
//	producer                          worker
//	Client.Submit ── MOLT_JOBS_<pool> ──▶ Source ▶ Queue.Receive ▶ Delivery
//	Client.Wait   ◀── MOLT_RESULTS ◀──────── Delivery.Complete: store, reply, ack
//
// Subjects names every subject and stream. Job and Result are what the bodies
// carry, in msgpack or JSON. EnsurePool and EnsureResults create the streams,
// or refuse ones of another shape.
//
// A worker settles a job in this order: it stores the result, replies to
// reply_to, and acknowledges with a confirmed ack. The result stream takes one
// message a subject and refuses a second one, which makes it the fence: however
// many workers ran a job after lost leases, the first stored result is the
// job's result, and every later delivery is answered with it.
package queue
