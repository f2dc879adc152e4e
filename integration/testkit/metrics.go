package testkit

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// Scrape reads an address's /metrics as Prometheus does and returns the samples by name
// and labels, molt_jobs_running{pool="default"}, the labels in alphabetical order. Of a
// histogram it has _count and _sum.
func Scrape(t testing.TB, address string) map[string]float64 {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address+"/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("/metrics: %s, %v", response.Status, err)
	}
	samples := map[string]float64{}
	for name, family := range families {
		if strings.HasPrefix(name, "molt_") {
			checkFamily(t, name, family.GetHelp(), family.GetType().String())
		}
		for _, m := range family.GetMetric() {
			var labels []string
			for _, l := range m.GetLabel() {
				labels = append(labels, fmt.Sprintf("%s=%q", l.GetName(), l.GetValue()))
			}
			slices.Sort(labels)
			suffix := ""
			if len(labels) > 0 {
				suffix = "{" + strings.Join(labels, ",") + "}"
			}
			if h := m.GetHistogram(); h != nil {
				samples[name+"_count"+suffix], samples[name+"_sum"+suffix] = float64(h.GetSampleCount()), h.GetSampleSum()
				continue
			}
			samples[name+suffix] = m.GetCounter().GetValue() + m.GetGauge().GetValue() + m.GetUntyped().GetValue()
		}
	}
	return samples
}

// checkFamily holds a metric of molt's to Prometheus' conventions.
func checkFamily(t testing.TB, name, help, kind string) {
	t.Helper()
	if help == "" {
		t.Errorf("%s has no help", name)
	}
	if (kind == "COUNTER") != strings.HasSuffix(name, "_total") {
		t.Errorf("%s is of the type %s", name, kind)
	}
}

// Sum adds up the samples of a metric that have all of the labels.
func Sum(samples map[string]float64, name string, labels ...string) (total float64) {
	for sample, value := range samples {
		if of, with, _ := strings.Cut(sample, "{"); of != name || slices.ContainsFunc(labels, func(l string) bool { return !strings.Contains(with, l) }) {
			continue
		}
		total += value
	}
	return total
}
