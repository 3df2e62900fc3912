package privatelink

import (
	"os"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// configMetrics tell which configuration is in force, how old its files are on disk,
// and whether its upstream groups can be asked. It is safe for concurrent use.
type configMetrics struct {
	successful, succeeded, generation series
	modified, groupUp                 series

	mutex    sync.Mutex
	handlers map[*Handler]bool
	// read is false until a configuration was read; mistaken is that of the last one.
	read, mistaken bool
	inForce        inForce
}

// inForce is what is told of the configuration in force.
type inForce struct {
	generation int
	since      time.Time
}

func newConfigMetrics() *configMetrics {
	return &configMetrics{
		successful: gauge("config_last_reload_successful", "Whether the last configuration that was read is in force: 1, or 0 when it had a mistake."),
		succeeded:  gauge("config_last_reload_success_timestamp_seconds", "When the configuration in force was put in force."),
		generation: gauge("config_generation", "How many configurations this process has put in force, each stanza counted."),
		modified:   gauge("config_file_timestamp_seconds", "When a file of the configuration in force was changed on disk.", "file"),
		groupUp:    gauge("upstream_group_up", "1 where a server of an upstream group is not down, 0 where all are.", "group"),
		handlers:   map[*Handler]bool{},
	}
}

// reloaded notes what became of a configuration that was read.
func (c *configMetrics) reloaded(successful bool, now time.Time) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	c.read, c.mistaken = true, !successful
	if successful {
		c.inForce = inForce{c.inForce.generation + 1, now}
	}
}

// begins notes that a configuration is put in force by one that may yet be abandoned,
// for the fault of another stanza, and returns what says so.
func (c *configMetrics) begins(now time.Time) (abandon func()) {
	c.mutex.Lock()
	before := c.inForce
	c.mutex.Unlock()
	c.reloaded(true, now)
	return func() {
		c.mutex.Lock()
		defer c.mutex.Unlock()
		c.inForce.generation--
		c.inForce.since, c.mistaken = before.since, true
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

// stand returns the files of all handlers, and their upstream groups with whether a
// server is up. Groups of two stanzas that have one name count as one.
func (c *configMetrics) stand() (files, groups map[string]bool) {
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
	for _, each := range []series{c.successful, c.succeeded, c.generation, c.modified, c.groupUp} {
		descriptions <- each.description
	}
}

// Collect implements prometheus.Collector. A file that cannot be read has no time.
func (c *configMetrics) Collect(samples chan<- prometheus.Metric) {
	c.collectInForce(samples)
	files, groups := c.stand()
	for group, up := range groups {
		c.groupUp.tell(samples, number(up), group)
	}
	for file := range files {
		if info, err := os.Stat(file); err == nil {
			c.modified.tell(samples, float64(info.ModTime().UnixMilli())/1000, file)
		}
	}
}

func (c *configMetrics) collectInForce(samples chan<- prometheus.Metric) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if !c.read {
		return
	}
	c.successful.tell(samples, number(!c.mistaken))
	c.generation.tell(samples, float64(c.inForce.generation))
	if !c.inForce.since.IsZero() {
		c.succeeded.tell(samples, float64(c.inForce.since.UnixMilli())/1000)
	}
}
