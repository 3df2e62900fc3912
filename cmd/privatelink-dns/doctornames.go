package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/miekg/dns"

	"github.com/privatelink-dns/privatelink-dns/plugin/privatelink"
)

const (
	// mostNames bounds what has to be done in a minute.
	mostNames = 8
	// nameTime is what explaining a name takes at most.
	nameTime = 15 * time.Second
	// handshakeTime is how long a private endpoint's certificate is waited for.
	handshakeTime = 2 * time.Second
)

// checkNames finds arguments that are no names before anything is asked.
func checkNames(names []string) error {
	for _, name := range names {
		if _, valid := dns.IsDomainName(name); !valid || !strings.Contains(name, ".") || strings.ContainsAny(name, " /") {
			return fmt.Errorf("found name %q, expected a domain name such as db1.database.windows.net; name the Corefile with -c FILE", name)
		}
	}
	return nil
}

// examineNames explains the names of the command line: what is wrong with one name only,
// no other examination can see.
func (c *checkup) examineNames(ctx context.Context) {
	for _, name := range c.options.names {
		if deadline, bounded := ctx.Deadline(); bounded && time.Until(deadline) < nameTime {
			c.add(skipped, "names", name, "there is no time left for it", "privatelink-dns explain "+name)
			continue
		}
		c.progress.within("names, " + name)
		explanation, err := c.explain(ctx, name)
		if err != nil {
			c.add(privatelink.Fault, "names", name, err.Error(), "")
			continue
		}
		next := ""
		if explanation.Diagnosis.Severity != privatelink.Fine {
			next = "privatelink-dns explain " + name + " shows every step"
		}
		c.explained = append(c.explained, explanation)
		c.add(explanation.Diagnosis.Severity, "names", name, explanation.Diagnosis.Text, next)
	}
}

// explain asks the running server, which knows what it keeps, and else the configuration.
func (c *checkup) explain(ctx context.Context, name string) (*privatelink.Explanation, error) {
	request := privatelink.ExplainRequest{Name: name, Stanza: c.options.stanza}
	if !c.running {
		return c.opened.Explain(ctx, request)
	}
	body, err := json.Marshal(request)
	if err != nil {
		return nil, err
	}
	explanation := new(privatelink.Explanation)
	_, err = c.admin.send(io.Discard, http.MethodPost, "/explain", bytes.NewReader(body), explanation)
	return explanation, err
}

// examineCertificates holds the certificates of private endpoints against the names that
// were given: a client that checks them, as most do, gets no further than this.
func (c *checkup) examineCertificates(ctx context.Context) {
	if !c.options.certificates {
		c.add(skipped, "certificates", "", "not looked at: --certificates has the private endpoints of names asked for theirs", "")
		return
	}
	asked := false
	for _, explanation := range c.explained {
		for _, record := range explanation.Told.Chain {
			if record.Private && record.Type == "A" {
				c.examineCertificate(ctx, strings.TrimSuffix(explanation.Name, "."), record.Data)
				asked = true
				break
			}
		}
	}
	if !asked {
		c.add(skipped, "certificates", "", "no private endpoint to look at: name some, as in privatelink-dns doctor v1.vault.azure.net --certificates", "")
	}
}

// examineCertificate looks at one endpoint. Which authority signed the certificate is the
// client's affair; the name is DNS's.
func (c *checkup) examineCertificate(ctx context.Context, name, address string) {
	ctx, cancel := context.WithTimeout(ctx, handshakeTime)
	defer cancel()
	server := net.JoinHostPort(address, c.options.machine.tlsPort)
	// The certificate is looked at below, and nothing is sent over the connection.
	dialer := &tls.Dialer{Config: &tls.Config{ServerName: name, InsecureSkipVerify: true, MinVersion: tls.VersionTLS12}}
	connection, err := dialer.DialContext(ctx, "tcp", server)
	if err != nil {
		c.add(skipped, "certificates", name, "no certificate to be had of "+server+" from here: "+err.Error(), "")
		return
	}
	defer func() { _ = connection.Close() }()
	certificates := connection.(*tls.Conn).ConnectionState().PeerCertificates
	if len(certificates) == 0 {
		return
	}
	if err := certificates[0].VerifyHostname(name); err != nil {
		c.add(privatelink.Warning, "certificates", name, "that of "+server+" is for another name: "+err.Error(), "use a name that the certificate carries, or correct the record if the endpoint is another resource's")
		return
	}
	c.add(privatelink.Fine, "certificates", name, "that of "+server+" carries the name", "")
}
