package main

import (
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/seed-0f8c9bb6/molt/queue"
	"github.com/seed-0f8c9bb6/molt/worker"
)

// timeBuckets are the upper bounds of the histograms in seconds: from a tiny
// job to one that runs for an hour.
var timeBuckets = []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300, 3600}

// slotStates are the values of the label state, so that each has a series
// before it is first seen.
var slotStates = []string{"starting", "idle", "busy", "draining", "backoff", "stopped"}

// metrics is what /metrics serves. Counters and gauges are read from the
// worker's status when somebody asks; only the histograms cost anything
// between, three observations a job.
type metrics struct {
	registry                *prometheus.Registry
	queued, executed, total *prometheus.HistogramVec
	worker                  atomic.Pointer[worker.Worker]
}

func newMetrics() *metrics {
	histogram := func(name, help string) *prometheus.HistogramVec {
		return prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: timeBuckets}, []string{"pool"})
	}
	m := &metrics{
		registry: prometheus.NewRegistry(),
		queued:   histogram("molt_job_queue_seconds", "Time from a job's publication to its start; two clocks have a part in it."),
		executed: histogram("molt_job_execution_seconds", "Time from a job's start to its end."),
		total:    histogram("molt_job_total_seconds", "Time from a job's publication to the acknowledgement of its stored result."),
	}
	build := prometheus.NewGauge(prometheus.GaugeOpts{Name: "molt_build_info", Help: "Always 1; the labels say what is running.", ConstLabels: buildLabels()})
	build.Set(1)
	m.registry.MustRegister(m.queued, m.executed, m.total, build, statusCollector{m},
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

func buildLabels() prometheus.Labels {
	v := readVersions()
	return prometheus.Labels{"version": v.Molt, "commit": v.Commit, "go": v.Go}
}

func (m *metrics) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{Registry: m.registry})
}

// Pool implements worker.Observer.
func (m *metrics) Pool(name string) worker.PoolObserver {
	return poolMetrics{m.queued.WithLabelValues(name), m.executed.WithLabelValues(name), m.total.WithLabelValues(name)}
}

// poolMetrics are one pool's histograms, looked up once.
type poolMetrics struct{ queued, executed, total prometheus.Observer }

// JobDone implements worker.PoolObserver.
func (p poolMetrics) JobDone(j worker.JobTimes) {
	if j.Ran {
		p.queued.Observe(j.Queued.Seconds())
		p.executed.Observe(j.Execution.Seconds())
	}
	p.total.Observe(j.Total.Seconds())
}

// statusCollector turns a worker's status into samples.
type statusCollector struct{ metrics *metrics }

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("molt_"+name, help, labels, nil)
}

// What there is of a worker, a pool and a slot.
var (
	descReady      = desc("ready", "1 while the worker serves jobs, as /readyz.")
	descConnected  = desc("connected", "1 while the connection to NATS is up.")
	descReconnects = desc("reconnects_total", "How often the connection to NATS came back.")

	descJobs         = desc("jobs_total", "Stored results by status, and whose doing the status is.", "pool", "status", "fault")
	descFetched      = desc("jobs_fetched_total", "Deliveries that arrived.", "pool")
	descRedelivered  = desc("jobs_redelivered_total", "Deliveries that were not their job's first.", "pool")
	descSettled      = desc("jobs_settled_total", "Jobs that were acknowledged.", "pool")
	descAnswered     = desc("jobs_answered_total", "Jobs that had a result already, most of which did not run.", "pool")
	descDead         = desc("jobs_dead_total", "Jobs that were given up and recorded in the dead stream.", "pool")
	descGivenBack    = desc("jobs_given_back_total", "Deliveries that were returned to the queue.", "pool")
	descUnsettled    = desc("jobs_unsettled_total", "Deliveries that could not be settled; their jobs come again.", "pool")
	descStalled      = desc("stalls_total", "How often jobs waited, the worker asked and none came.", "pool")
	descExtended     = desc("leases_extended_total", "Leases that were renewed.", "pool")
	descExtendFailed = desc("lease_failures_total", "Renewals of leases that failed.", "pool")
	descWaiting      = desc("jobs_waiting", "Jobs in the worker that wait for an interpreter.", "pool")
	descRunning      = desc("jobs_running", "Jobs that run.", "pool")
	descInterpreters = desc("interpreters", "Slots by state.", "pool", "state")
	descStarts       = desc("interpreter_starts_total", "Interpreters that came up, forked from the pool's template or started by themselves.", "pool", "how")
	descTemplates    = desc("templates", "1 while the pool has a template to fork interpreters from.", "pool")
	descRecycles     = desc("recycles_total", "Interpreters that were replaced, by reason.", "pool", "reason")

	descExecutions = desc("interpreter_executions", "Jobs of the slot's present interpreter.", "pool", "slot")
	descResident   = desc("interpreter_resident_bytes", "Resident memory of the slot's interpreter.", "pool", "slot")
	descModules    = desc("interpreter_modules", "Loaded modules of the slot's interpreter.", "pool", "slot")
	descGeneration = desc("interpreter_generation", "Which interpreter of its slot it is.", "pool", "slot")
	descAge        = desc("interpreter_age_seconds", "Time since the start of the slot's interpreter.", "pool", "slot")
)

// Describe implements prometheus.Collector. Nothing is described: what is there
// depends on the worker.
func (statusCollector) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (c statusCollector) Collect(out chan<- prometheus.Metric) {
	w := c.metrics.worker.Load()
	if w == nil {
		sample{out}.gauge(descReady, 0)
		return
	}
	s := w.Status()
	put := sample{out}
	put.gauge(descReady, flag(s.Ready))
	put.gauge(descConnected, flag(s.Connection.State == "connected"))
	put.counter(descReconnects, int64(s.Connection.Reconnects))
	for _, p := range s.Pools {
		put.pool(p)
		for _, slot := range p.Slots {
			put.slot(p.Name, slot)
		}
	}
}

// sample puts values out.
type sample struct{ out chan<- prometheus.Metric }

func (s sample) gauge(d *prometheus.Desc, value float64, labels ...string) {
	s.out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
}

func (s sample) counter(d *prometheus.Desc, value int64, labels ...string) {
	s.out <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(value), labels...)
}

func (s sample) pool(p worker.PoolStatus) {
	c := p.Counts
	for _, one := range []struct {
		desc  *prometheus.Desc
		value int64
	}{
		{descFetched, c.Fetched}, {descRedelivered, c.Redelivered}, {descSettled, c.Settled},
		{descAnswered, c.Answered}, {descDead, c.Dead}, {descGivenBack, c.GivenBack}, {descUnsettled, c.Unsettled},
		{descStalled, c.Stalled}, {descExtended, c.Extended}, {descExtendFailed, c.ExtendFailed},
	} {
		s.counter(one.desc, one.value, p.Name)
	}
	for _, status := range queue.Statuses {
		s.counter(descJobs, c.Results[status], p.Name, string(status), string(status.Fault()))
	}
	for _, reason := range worker.RecycleReasons {
		s.counter(descRecycles, c.Recycles[reason], p.Name, string(reason))
	}
	s.counter(descStarts, c.Forked, p.Name, "forked")
	s.counter(descStarts, c.Started, p.Name, "started")
	if p.Template != nil {
		s.gauge(descTemplates, flag(p.Template.State == "ready"), p.Name)
	}
	s.gauge(descWaiting, float64(p.Waiting), p.Name)
	s.gauge(descRunning, float64(p.Running), p.Name)
	states := make(map[string]int)
	for _, slot := range p.Slots {
		states[slot.State]++
	}
	for _, state := range slotStates {
		s.gauge(descInterpreters, float64(states[state]), p.Name, state)
	}
}

func (s sample) slot(pool string, slot worker.SlotStatus) {
	number := strconv.Itoa(slot.Slot)
	s.gauge(descExecutions, float64(slot.Executions), pool, number)
	s.gauge(descResident, float64(slot.RSSBytes), pool, number)
	s.gauge(descModules, float64(slot.Modules), pool, number)
	s.gauge(descGeneration, float64(slot.Generation), pool, number)
	s.gauge(descAge, (time.Duration(slot.AgeMS) * time.Millisecond).Seconds(), pool, number)
}

func flag(set bool) float64 {
	if set {
		return 1
	}
	return 0
}
