package main

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/seed-0f8c9bb6/molt/worker"
)

// health answers /livez while the process lives, /readyz while its worker
// serves jobs, /metrics for Prometheus, and takes POST /drain.
type health struct {
	server  *http.Server
	addr    net.Addr
	done    chan struct{}
	log     *zap.Logger
	metrics *metrics
	token   string // of POST /drain; empty: it is refused
	worker  atomic.Pointer[worker.Worker]
	waits   atomic.Pointer[error] // why there is no worker yet
}

// serveHealth listens on the address; an empty one serves nothing.
func serveHealth(address, token string, log *zap.Logger) (*health, error) {
	h := &health{done: make(chan struct{}), log: log, token: token}
	if address == "" {
		close(h.done)
		return h, nil
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("cannot serve /livez, /readyz and /metrics: %w: choose another address with --http", err)
	}
	h.metrics = newMetrics()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", h.readyz)
	mux.Handle("GET /metrics", h.metrics.handler())
	mux.HandleFunc("POST /drain", h.drain)
	h.server = &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second}
	h.addr = listener.Addr()
	log.Info("health checks", zap.String("address", h.addr.String()))
	go func() {
		defer close(h.done)
		if err := h.server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			log.Error("health checks ended", zap.Error(err))
		}
	}()
	return h, nil
}

func (h *health) readyz(w http.ResponseWriter, _ *http.Request) {
	err := errors.New("the worker is starting")
	if serving, why := h.worker.Load(), h.waits.Load(); serving != nil {
		err = serving.Ready()
	} else if why != nil {
		err = fmt.Errorf("%w: %w", err, *why)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	_, _ = fmt.Fprintln(w, "ok")
}

// drain asks for what SIGTERM does. The address is often open to a whole
// network, and jobs reach it even on the loopback interface: hence the token.
func (h *health) drain(w http.ResponseWriter, r *http.Request) {
	given, bearer := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	switch {
	case h.token == "":
		http.Error(w, "POST /drain is off: set http_token in the configuration (or MOLT_HTTP_TOKEN), and send it as `Authorization: Bearer …`; SIGTERM and `molt drain` work without", http.StatusForbidden)
		return
	case !bearer || !sameToken(given, h.token):
		w.Header().Set("WWW-Authenticate", "Bearer")
		http.Error(w, "the token is missing or wrong: send the configured http_token as `Authorization: Bearer …`", http.StatusUnauthorized)
		return
	}
	serving := h.worker.Load()
	if serving == nil {
		http.Error(w, "the worker is starting", http.StatusServiceUnavailable)
		return
	}
	h.log.Info("asked to drain", zap.String("by", "POST /drain"), zap.String("from", r.RemoteAddr))
	serving.RequestDrain()
	w.WriteHeader(http.StatusAccepted)
	_, _ = fmt.Fprintln(w, "draining")
}

// sameToken takes the same time whatever is wrong with the given one.
func sameToken(given, want string) bool {
	a, b := sha256.Sum256([]byte(given)), sha256.Sum256([]byte(want))
	return subtle.ConstantTimeCompare(a[:], b[:]) == 1
}

// observer is whom the worker tells of its jobs; nil: nobody.
func (h *health) observer() worker.Observer {
	if h.metrics == nil {
		return nil
	}
	return h.metrics
}

// serve makes /readyz and /metrics speak for the worker.
func (h *health) serve(w *worker.Worker) {
	h.worker.Store(w)
	if h.metrics != nil {
		h.metrics.worker.Store(w)
	}
}

func (h *health) close() {
	if h.server != nil {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if h.server.Shutdown(ctx) != nil {
			_ = h.server.Close()
		}
	}
	<-h.done
}
