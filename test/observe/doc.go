// Package observe holds what is shipped for watching the server against the programs
// that watch it: promtool runs the alerts' tests, and Prometheus scrapes a real run and
// answers every query of the dashboard from it.
package observe
