package configs

import (
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
)

// defaultURL is where every example but the container's finds its server.
const defaultURL = "nats://127.0.0.1:4222"

func TestExamplesLoad(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"container.yaml", "minimal.yaml", "worker.yaml"}; !slices.Equal(files, want) {
		t.Fatalf("examples %v, want %v", files, want)
	}
	for _, file := range files {
		cfg, err := Load(file)
		if err != nil {
			t.Errorf("%v", err)
			continue
		}
		if len(cfg.Pools) == 0 || cfg.Pools[0].Name != "default" {
			t.Errorf("%s: pools %+v", file, cfg.Pools)
		}
		if file != "container.yaml" && cfg.NATS.URL != defaultURL {
			t.Errorf("%s: url %q", file, cfg.NATS.URL)
		}
	}
}

// The example shows the defaults; a comment that lies is worse than none.
func TestExampleShowsTheDefaults(t *testing.T) {
	t.Parallel()
	got, err := Load("worker.yaml")
	if err != nil {
		t.Fatal(err)
	}
	want := Default()
	// What the command falls back on, which has no place among the defaults: a
	// server that the file names is not started.
	want.NATS.URL = defaultURL
	want.Pools = []Pool{DefaultPool("default"), got.Pools[1]}
	got.file, got.root = "", nil
	if !reflect.DeepEqual(got, want) {
		t.Errorf("worker.yaml\n got %+v\nwant %+v", got, want)
	}
}

// commentedKey is a line of the example that becomes a setting when its comment
// mark is removed. Prose begins with a capital letter or has no colon.
var commentedKey = regexp.MustCompile(`^( *)# ( *[a-zA-Z_]+:( .*)?)$`)

// Every key that exists is in the example, and what stands there as a comment
// is a key too.
func TestExampleHasEveryKey(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("worker.yaml")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(data), "\n")
	uncommented := 0
	for i, line := range lines {
		if match := commentedKey.FindStringSubmatch(line); match != nil {
			lines[i] = match[1] + match[2]
			uncommented++
		}
	}
	text := strings.Join(lines, "\n")
	// Two ways to name the server exclude each other.
	withContext := strings.Replace(text, "  url: "+defaultURL+"\n", "", 1)
	cfg, err := Parse("worker.yaml", []byte(withContext))
	if err != nil {
		t.Fatalf("with its comments removed: %v", err)
	}
	if cfg.Name == "" || cfg.HTTP == "" || cfg.NATS.TLS.CA == "" || cfg.Pools[0].Interpreters != 2 || len(cfg.Pools[0].Env) != 1 {
		t.Errorf("%d lines were uncommented, which gives %+v", uncommented, cfg)
	}
	var tree map[string]any
	if err := yaml.Unmarshal([]byte(text), &tree); err != nil {
		t.Fatal(err)
	}
	there := keysOf("", tree)
	for _, key := range keysOfType("", reflect.TypeFor[Config]()) {
		if !slices.Contains(there, key) {
			t.Errorf("worker.yaml lacks %s", key)
		}
	}
}

// keysOf lists the paths of a decoded file's keys; of lists, the first item's.
func keysOf(prefix string, tree map[string]any) []string {
	var keys []string
	for _, name := range slices.Sorted(maps.Keys(tree)) {
		value := tree[name]
		if list, ok := value.([]any); ok {
			value = list[0]
		}
		keys = append(keys, prefix+name)
		if below, ok := value.(map[string]any); ok {
			keys = append(keys, keysOf(prefix+name+".", below)...)
		}
	}
	return keys
}

// keysOfType lists the same paths of the struct that a file is decoded into.
func keysOfType(prefix string, t reflect.Type) []string {
	var keys []string
	for i := range t.NumField() {
		field := t.Field(i)
		name := field.Tag.Get("yaml")
		if name == "" {
			continue
		}
		keys = append(keys, prefix+name)
		below := field.Type
		if below.Kind() == reflect.Slice {
			below = below.Elem()
		}
		if below.Kind() == reflect.Struct {
			keys = append(keys, keysOfType(prefix+name+".", below)...)
		}
	}
	return keys
}

// The image's health check and the composition rely on these.
func TestContainerExample(t *testing.T) {
	t.Parallel()
	cfg, err := Load("container.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if cfg.HTTP != ":8080" || cfg.Log.Format != "json" || cfg.NATS != (NATS{}) {
		t.Errorf("http %q, log %+v, nats %+v", cfg.HTTP, cfg.Log, cfg.NATS)
	}
	if want := []Pool{DefaultPool("default")}; !reflect.DeepEqual(cfg.Pools, want) {
		t.Errorf("pools\n got %+v\nwant %+v", cfg.Pools, want)
	}
	compose, err := os.ReadFile("../docker-compose.yml")
	if err != nil {
		t.Fatal(err)
	}
	var composition struct {
		Services struct {
			Worker struct {
				Grace Duration `yaml:"stop_grace_period"`
			}
		}
	}
	if err := yaml.Unmarshal(compose, &composition); err != nil {
		t.Fatal(err)
	}
	if grace := composition.Services.Worker.Grace; grace <= cfg.DrainTimeout {
		t.Errorf("the container is killed after %v, its jobs may take %v", grace, cfg.DrainTimeout)
	}
}

func TestDefaultsOfWhatIsLeftOut(t *testing.T) {
	t.Parallel()
	cfg, err := Parse("x.yaml", []byte("pools:\n  - name: a\n    budget: 0\n    timeout: 0\n  - name: b\n    memory: 1.5GiB\n    interpreters: 0\n"))
	if err != nil {
		t.Fatal(err)
	}
	a, b := cfg.Pools[0], cfg.Pools[1]
	if a.Budget.Executions != 0 || a.Budget.Jitter != 0.1 || a.Timeout != 0 || a.Attempts != 5 {
		t.Errorf("a: %+v", a)
	}
	if b.Budget != DefaultBudget() || b.Timeout != Duration(time.Minute) || b.Memory != 3<<29 || b.Interpreters != CPUs() {
		t.Errorf("b: %+v", b)
	}
}

func TestBudgets(t *testing.T) {
	t.Parallel()
	cfg, err := Parse("x.yaml", []byte(`pools:
  - name: a
    budget: {executions: 5, jitter: 0, memory: +1MiB, memory_hard: 64MiB, memory_measure: pss, age: 1h, idle: 10m, modules: 7, errors: 3, min_lifetime: 5s}
  - name: b
    budget:
      memory: 512MiB
`))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := cfg.Pools[0].Budget, (Budget{
		Executions: 5, Memory: MemoryLimit{1 << 20, true}, MemoryHard: MemoryLimit{64 << 20, false}, MemoryMeasure: "pss",
		Age: Duration(time.Hour), Idle: Duration(10 * time.Minute), Modules: 7, Errors: 3, MinLifetime: Duration(5 * time.Second),
	}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	want := DefaultBudget()
	want.Memory.Bytes = 512 << 20
	if got := cfg.Pools[1].Budget; got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestEmptyFile(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "# nothing\n", "---\n"} {
		cfg, err := Parse("x.yaml", []byte(text))
		if err != nil || cfg.Prefix != "molt" {
			t.Errorf("%q: %+v, %v", text, cfg, err)
		}
	}
}

// Each error names the file, the line, the key and what to do.
func TestErrors(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, text string
		want       []string
	}{
		{"unknown key", "prefix: x\nprefx: y\n", []string{"x.yaml:2", `"prefx"`, "spelling"}},
		{"unknown nested key", "nats:\n  url: a\n  credz: b\n", []string{"x.yaml:3", `"credz"`}},
		{"unknown key in a pool", "pools:\n  - name: a\n    budgt: 1\n", []string{"x.yaml:3", `"budgt"`}},
		{"unknown key in the second pool", "pools:\n  - name: a\n  - name: b\n    pithon: x\n", []string{"x.yaml:4", `"pithon"`}},
		{"repeated key", "prefix: a\nprefix: b\n", []string{"x.yaml:2", "prefix"}},
		{"repeated key in a pool", "pools:\n  - name: a\n    budget: 1\n    budget: 2\n", []string{"x.yaml:4", "budget"}},
		{"not YAML", "pools: [\n", []string{"x.yaml"}},
		{"a list", "- a\n- b\n", []string{"x.yaml:1"}},
		{"second document", "prefix: a\n---\nprefix: b\n", []string{"x.yaml:3", "second"}},
		{"wrong type", "pools:\n  - name: a\n    budget: many\n", []string{"x.yaml:3"}},
		{"duration without unit", "drain_timeout: 30\n", []string{"x.yaml:1", "30s"}},
		{"duration list", "drain_timeout: [1]\n", []string{"x.yaml:1", "duration"}},
		{"size", "pools:\n  - name: a\n    memory: 5 bananas\n", []string{"x.yaml:3", "256KiB"}},
		{"negative size", "pools:\n  - name: a\n    memory: -1\n", []string{"x.yaml:3", "size"}},
		{"pool without a name", "pools:\n  - budget: 1\n", []string{"x.yaml", "pools[0].name"}},
		{"pool name", "pools:\n  - name: a.b\n", []string{"x.yaml:2", "pools[0].name", "letters"}},
		{"pool twice", "pools:\n  - name: a\n  - name: a\n", []string{"x.yaml:3", "pools[1].name", "rename"}},
		{"no mode", "pools:\n  - name: a\n    isolation: \"\"\n", []string{"x.yaml:3", "pools[0].isolation", "reset"}},
		{"third party", "pools:\n  - name: a\n    third_party: lose\n", []string{"x.yaml:3", "pools[0].third_party", "keep, drop"}},
		{"negative processes", "pools:\n  - name: a\n    processes: -1\n", []string{"x.yaml:3", "pools[0].processes"}},
		{"negative open files", "pools:\n  - name: a\n    open_files: -1\n", []string{"x.yaml:3", "pools[0].open_files"}},
		{"negative interpreters", "pools:\n  - name: a\n    interpreters: -1\n", []string{"x.yaml:3", "pools[0].interpreters"}},
		{"unknown budget", "pools:\n  - name: a\n    budget:\n      executions: 1\n      memry: 1GiB\n", []string{"x.yaml:5", `"memry"`}},
		{"repeated budget", "pools:\n  - name: a\n    budget:\n      age: 1h\n      age: 2h\n", []string{"x.yaml:5", "age"}},
		{"negative budget", "pools:\n  - name: a\n    budget: -1\n", []string{"x.yaml:3", "pools[0].budget.executions"}},
		{"a list of budgets", "pools:\n  - name: a\n    budget: [1]\n", []string{"x.yaml:3", "budget"}},
		{"jitter", "pools:\n  - name: a\n    budget:\n      jitter: 0.1\n", []string{"x.yaml:4", "10%"}},
		{"too much jitter", "pools:\n  - name: a\n    budget:\n      jitter: 60%\n", []string{"x.yaml:4", "jitter", "50%"}},
		{"budget of memory", "pools:\n  - name: a\n    budget:\n      memory: lots\n", []string{"x.yaml:4", "256KiB", "plus"}},
		{"hard below soft", "pools:\n  - name: a\n    budget:\n      memory: 2GiB\n      memory_hard: 1GiB\n", []string{"x.yaml:5", "memory_hard", "raise"}},
		{"measure", "pools:\n  - name: a\n    budget:\n      memory_measure: peak\n", []string{"x.yaml:4", "rss, pss"}},
		{"negative age", "pools:\n  - name: a\n    budget:\n      age: -1s\n", []string{"x.yaml:4", "age"}},
		{"no lifetime", "pools:\n  - name: a\n    budget:\n      min_lifetime: 0\n", []string{"x.yaml:4", "min_lifetime"}},
		{"spares", "pools:\n  - name: a\n    spares: -1\n", []string{"x.yaml:3", "spares"}},
		{"ready timeout", "pools:\n  - name: a\n    ready_timeout: 1ms\n", []string{"x.yaml:3", "ready_timeout"}},
		{"unhealthy after", "pools:\n  - name: a\n    unhealthy_after: 0\n", []string{"x.yaml:3", "unhealthy_after"}},
		{"starts at once", "starts_at_once: -1\n", []string{"x.yaml:1", "starts_at_once"}},
		{"attempts", "pools:\n  - name: a\n    attempts: 0\n", []string{"x.yaml:3", "attempts"}},
		{"short lease", "pools:\n  - name: a\n    ack_wait: 5ms\n", []string{"x.yaml:3", "ack_wait", "1s"}},
		{"reply pattern", "pools:\n  - name: a\n    reply_allow: [\"a..b\"]\n", []string{"x.yaml:3", "reply_allow[0]"}},
		{"log level", "log:\n  level: loud\n", []string{"x.yaml:2", "log.level", "debug"}},
		{"address", "http: 8080\n", []string{"x.yaml:1", "http", ":8080"}},
		{"url and context", "nats:\n  url: a\n  context: b\n", []string{"x.yaml:3", "nats.context"}},
		{"half of a certificate", "nats:\n  tls:\n    cert: a\n", []string{"x.yaml", "nats.tls", "key"}},
		{"replicas", "results:\n  replicas: 9\n", []string{"x.yaml:2", "results.replicas"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, err := Parse("x.yaml", []byte(test.text))
			if err == nil {
				t.Fatal("no error")
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q lacks %q", err, want)
				}
			}
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("more than one line: %q", err)
			}
		})
	}
}

func TestEveryProblemIsNamed(t *testing.T) {
	t.Parallel()
	_, err := Parse("x.yaml", []byte("prefix: a.b\nlog:\n  level: loud\n"))
	if err == nil || !strings.Contains(err.Error(), "prefix") || !strings.Contains(err.Error(), "log.level") {
		t.Errorf("%v", err)
	}
}

// A password that spoils its URL is not told of.
func TestURLsKeepTheirSecret(t *testing.T) {
	t.Parallel()
	for _, password := range []string{"hush%zz", "hush#x", "hush/x", "hush x", "hush?x"} {
		_, err := Parse("x.yaml", []byte("nats:\n  url: \"nats://user:"+password+"@127.0.0.1\"\n"))
		if err == nil || strings.Contains(err.Error(), "hush") || !strings.Contains(err.Error(), "percent-encode") {
			t.Errorf("with the password %q: %v", password, err)
		}
	}
}

func TestMissingFile(t *testing.T) {
	t.Parallel()
	_, err := Load(filepath.Join(t.TempDir(), "none.yaml"))
	if err == nil || !strings.Contains(err.Error(), "none.yaml") {
		t.Errorf("%v", err)
	}
}

func TestParseSize(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int64{
		"0": 0, "17": 17, "17B": 17, "1KB": 1000, "1KiB": 1024, "1kib": 1024, "1.5MiB": 3 << 19,
		"2 GiB": 2 << 30, "1TB": 1e12, "9223372036854775807": 1<<63 - 1,
	} {
		if got, err := ParseSize(text); err != nil || got != want {
			t.Errorf("%q: %d, %v; want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "B", "x", "-1", "1e3", "0x10", "inf", "nan", "1K", "99999999TiB", "1 2"} {
		if got, err := ParseSize(text); err == nil {
			t.Errorf("%q: %d, want an error", text, got)
		}
	}
}

func TestSizeString(t *testing.T) {
	t.Parallel()
	for size, want := range map[Size]string{0: "0", 1: "1", 1000: "1000", 256 << 10: "256KiB", 1 << 30: "1GiB"} {
		if got := size.String(); got != want {
			t.Errorf("%d: %s, want %s", int64(size), got, want)
		}
	}
}
