package privatelink

import (
	"sync"

	"github.com/coredns/coredns/plugin"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/privatelink-dns/privatelink-dns/plugin/querylog"
)

// logCollector tells what became of the query log's records, over all logs that this
// process had: a reload opens another one. It is safe for concurrent use.
type logCollector struct {
	records, queued *prometheus.Desc

	mutex sync.Mutex
	open  []*querylog.Log
	// past are the sums of logs that were closed.
	past map[logSeries]uint64
}

// logSeries is a destination and what became of its records.
type logSeries struct{ destination, result string }

func newLogCollector() *logCollector {
	name := func(name string) string { return prometheus.BuildFQName(plugin.Namespace, pluginName, name) }
	return &logCollector{
		records: prometheus.NewDesc(name("querylog_records_total"), "Query log records by destination and by what became of them.", []string{"destination", "result"}, nil),
		queued:  prometheus.NewDesc(name("querylog_queue_bytes"), "What waits for a destination of the query log.", []string{"destination"}, nil),
		past:    map[logSeries]uint64{},
	}
}

// Describe implements prometheus.Collector.
func (c *logCollector) Describe(descriptions chan<- *prometheus.Desc) {
	descriptions <- c.records
	descriptions <- c.queued
}

// Collect implements prometheus.Collector.
func (c *logCollector) Collect(samples chan<- prometheus.Metric) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	sums, queued := map[logSeries]uint64{}, map[string]int{}
	for series, count := range c.past {
		sums[series] += count
	}
	for _, log := range c.open {
		addResults(sums, log)
		for _, destination := range log.Statistics() {
			queued[destination.Name] += destination.Queued
		}
	}
	for series, count := range sums {
		samples <- prometheus.MustNewConstMetric(c.records, prometheus.CounterValue, float64(count), series.destination, series.result)
	}
	for destination, size := range queued {
		samples <- prometheus.MustNewConstMetric(c.queued, prometheus.GaugeValue, float64(size), destination)
	}
}

// addResults adds a log's figures.
func addResults(sums map[logSeries]uint64, log *querylog.Log) {
	for _, destination := range log.Statistics() {
		for result, count := range map[string]uint64{
			"written": destination.Written, "filtered": destination.Filtered, "queue_full": destination.QueueFull,
			"refused": destination.Refused, "late": destination.Late,
		} {
			sums[logSeries{destination.Name, result}] += count
		}
	}
}

// watch counts a log in, nil for none.
func (c *logCollector) watch(log *querylog.Log) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if log != nil {
		c.open = append(c.open, log)
	}
}

// forget keeps the last figures of a log that has been closed.
func (c *logCollector) forget(log *querylog.Log) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	for index, open := range c.open {
		if open == log {
			addResults(c.past, log)
			c.open = append(c.open[:index], c.open[index+1:]...)
			return
		}
	}
}
