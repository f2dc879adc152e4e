package worker

// RequestDrain asks whoever runs the worker to drain it, as a signal would. It
// returns at once; asking again changes nothing.
func (w *Worker) RequestDrain() {
	w.askDrain.Do(func() { close(w.drainAsked) })
}

// DrainRequested is closed after RequestDrain.
func (w *Worker) DrainRequested() <-chan struct{} { return w.drainAsked }
