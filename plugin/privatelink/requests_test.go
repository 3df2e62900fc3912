package privatelink

import (
	"testing"

	"github.com/coredns/coredns/plugin"
	coremetrics "github.com/coredns/coredns/plugin/metrics"
	"github.com/coredns/coredns/plugin/metrics/vars"
	"github.com/coredns/coredns/plugin/test"
	"github.com/miekg/dns"
)

// TestResponsesNameThePluginBelowPrometheus: CoreDNS names that one, whoever wrote the
// reply, and an answer in place must not begin another series.
func TestResponsesNameThePluginBelowPrometheus(t *testing.T) {
	const server = "dns://192.0.2.1:53"
	for _, tc := range []struct {
		name string
		next plugin.Handler
		want string
	}{
		{"ours", &Handler{}, "privatelink"},
		{"another", test.ErrorHandler(), "handlerfunc"},
		{"none", nil, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			metrics := coremetrics.New("localhost:0")
			metrics.Next = tc.next
			got := newRequestMetrics(metrics, server).root.udp.rcodeCounter(dns.RcodeRefused)
			if want := vars.ResponseRcode.WithLabelValues(server, ".", "", "REFUSED", tc.want); got != want {
				t.Errorf("rcodeCounter() = %v, want the series of plugin %q: %v", got.Desc(), tc.want, want.Desc())
			}
		})
	}
}
