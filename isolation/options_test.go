package isolation

import (
	"strings"
	"testing"
	"time"
)

func TestSettings(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		mode      Mode
		options   Options
		want, err string
	}{
		"nothing asked":          {mode: shared},
		"nothing asked of fork":  {mode: fork, want: "{}"},
		"all of fork":            {mode: fork, options: Options{Preload: []string{"json"}, CPU: 2 * time.Second}, want: `{"preload":["json"],"cpu_seconds":2}`},
		"nothing asked of reset": {mode: reset},
		"all of reset":           {mode: reset, options: Options{DropThirdParty: true}, want: `{"third_party":"drop"}`},
		"a choice of fork":       {mode: fork, options: Options{DropThirdParty: true}, err: "use reset"},
		"limits of fork":         {mode: fork, options: Options{OpenFiles: 64, FileSize: 1 << 20, Processes: 8, Users: 4}, want: `{"processes":8,"open_files":64,"file_size":1048576}`},
		"processes of one user":  {mode: fork, options: Options{Processes: 8, Users: 1}, err: "user: 61000-61015"},
		"processes of no user":   {mode: restrictedFork, options: Options{Processes: 8}, err: "cgroup"},
		"too few open files":     {mode: fork, options: Options{OpenFiles: 3}, err: "at least 16"},
		"negative file size":     {mode: fork, options: Options{FileSize: -1}, err: "negative"},
		"processes of reset":     {mode: reset, options: Options{Processes: 8, Users: 4}, err: "leave processes out"},
		"open files of shared":   {mode: shared, options: Options{OpenFiles: 64}, err: "leave open_files out"},
		"file size of shared":    {mode: shared, options: Options{FileSize: 64}, err: "leave file_size out"},
		"preload of shared":      {mode: shared, options: Options{Preload: []string{"json"}}, err: "leave preload out"},
		"cpu of shared":          {mode: shared, options: Options{CPU: time.Second}, err: "leave cpu out"},
		"imports":                {mode: restricted, options: Options{Imports: []string{"default", "xml.etree"}}, want: `{"imports":["default","xml.etree"]}`},
		"imports of a fork":      {mode: restrictedFork, options: Options{Imports: []string{"json"}, CPU: time.Second}, want: `{"cpu_seconds":1,"imports":["json"]}`},
		"imports of reset":       {mode: reset, options: Options{Imports: []string{"json"}}, err: "leave imports out"},
		"imports that undo":      {mode: restricted, options: Options{Imports: []string{"os.path"}}, err: "os.path, which would undo"},
		"no module's name":       {mode: restricted, options: Options{Imports: []string{"a-b"}}, err: "not a module's name"},
		"a fraction of a second": {mode: fork, options: Options{CPU: 1500 * time.Millisecond}, err: "whole seconds"},
		"a negative limit":       {mode: fork, options: Options{CPU: -time.Second}, err: "whole seconds"},
	} {
		got, err := c.mode.Settings(c.options)
		if c.err == "" && (err != nil || string(got) != c.want) {
			t.Errorf("%s: %s, %v, want %s", name, got, err, c.want)
		}
		if c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) {
			t.Errorf("%s: %v, want an error with %q", name, err, c.err)
		}
	}
}
