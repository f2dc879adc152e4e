// Package configs is the configuration file of a worker: its keys, their
// defaults, strict loading and validation. The YAML files beside it are
// commented examples, each of which a test loads.
//
// An unknown or repeated key is an error that names file, line and key: a
// misspelt limit must not silently be no limit. Durations are written with
// their unit ("30s", "24h"), sizes in bytes or with a unit ("256KiB", "1GiB").
//
// Settings from the command line beat the environment, which beats the file;
// that merging belongs to the command.
package configs
