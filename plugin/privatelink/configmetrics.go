package privatelink

import (
	"os"
	"sync"
	"time"

	"github.com/coredns/coredns/plugin"
	"github.com/prometheus/client_golang/prometheus"
)

// configMetrics tell which configuration is in force, how old its files are on disk,
// and whether its upstream groups can be asked. It is safe for concurrent use.
type configMetrics struct {
	successful prometheus.Gauge
	succeeded  prometheus.Gauge
	generation prometheus.Gauge
	modified   series
	groupUp    series

	mutex    sync.Mutex
	handlers map[*Handler]bool
}

func newConfigMetrics() *configMetrics {
	of := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Namespace: plugin.Namespace, Subsystem: pluginName, Name: "config_" + name, Help: help})
	}
	return &configMetrics{
		successful: of("last_reload_successful", "Whether the last configuration that was read is in force: 1, or 0 when it had a mistake."),
		succeeded:  of("last_reload_success_timestamp_seconds", "When the configuration in force was put in force."),
		generation: of("generation", "How many configurations this process has put in force."),
		modified:   gauge("config_file_timestamp_seconds", "When a file of the configuration in force was changed on disk.", "file"),
		groupUp:    gauge("upstream_group_up", "1 where a server of an upstream group is not down, 0 where all are.", "group"),
		handlers:   map[*Handler]bool{},
	}
}

// reloaded notes what became of a configuration that was read.
func (c *configMetrics) reloaded(successful bool, now time.Time) {
	c.successful.Set(number(successful))
	if successful {
		c.succeeded.Set(float64(now.UnixMilli()) / 1000)
		c.generation.Inc()
	}
}

// watch tells the files of a handler's configuration from now on.
func (c *configMetrics) watch(handler *Handler) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	c.handlers[handler] = true
}

// forget tells them no more.
func (c *configMetrics) forget(handler *Handler) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	delete(c.handlers, handler)
}

// read returns the files of all handlers, and their upstream groups with whether a
// server is up. Groups of two stanzas that have one name count as one.
func (c *configMetrics) read() (files, groups map[string]bool) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	files, groups = map[string]bool{}, map[string]bool{}
	for handler := range c.handlers {
		service := handler.current.Load().service
		for _, file := range service.files {
			files[file] = true
		}
		for name, way := range service.redirects {
			known, seen := groups[name]
			groups[name] = !way.group.Down() && (known || !seen)
		}
	}
	return files, groups
}

// Describe implements prometheus.Collector.
func (c *configMetrics) Describe(descriptions chan<- *prometheus.Desc) {
	for _, each := range []prometheus.Gauge{c.successful, c.succeeded, c.generation} {
		each.Describe(descriptions)
	}
	descriptions <- c.modified.description
	descriptions <- c.groupUp.description
}

// Collect implements prometheus.Collector. A file that cannot be read has no time.
func (c *configMetrics) Collect(samples chan<- prometheus.Metric) {
	for _, each := range []prometheus.Gauge{c.successful, c.succeeded, c.generation} {
		each.Collect(samples)
	}
	files, groups := c.read()
	for group, up := range groups {
		c.groupUp.tell(samples, number(up), group)
	}
	for file := range files {
		if info, err := os.Stat(file); err == nil {
			c.modified.tell(samples, float64(info.ModTime().UnixMilli())/1000, file)
		}
	}
}
