package querylog

import (
	"net/netip"
	"strconv"
)

const (
	// maxListed bounds how many names of a chain and how many addresses a line
	// holds: a reply over TCP has room for 4,000.
	maxListed = 64
	// maxText bounds the texts that have no bound of their own.
	maxText = 1024
)

// view is how one sink sees a record: the client as its privacy lets it be seen,
// by which instance it was written, and how many queries it stands for. Clock is
// the appender's.
type view struct {
	privacy  *privacy
	instance string
	sample   int
	clock    *clock
}

// AppendJSON appends the record to buffer as one line of JSON: an object whose
// fields are in the README's order, and a line feed. The line is valid JSON and
// valid UTF-8 whatever the record holds: a byte that is not UTF-8 becomes
// U+FFFD, and characters that could end a line or steer a terminal are escaped.
// It allocates nothing where buffer has room.
func AppendJSON(buffer []byte, r *Record) []byte {
	return appendJSON(buffer, r, view{privacy: &privacy{}, clock: &clock{}})
}

func appendJSON(line []byte, r *Record, v view) []byte {
	line = v.clock.appendTime(append(line, `{"time":"`...), r.Time)
	line = append(line, `","schema":1`...)
	line = appendText(line, `,"instance":`, v.instance)
	if v.sample > 1 {
		line = appendNumber(line, `,"sample":`, v.sample)
	}
	line = appendClient(line, r, v.privacy)
	line = appendQuestion(line, r)
	line = appendReply(line, r)
	line = appendMeaning(line, r)
	line = appendWay(line, r)
	line = append(line, `,"duration_seconds":`...)
	line = appendSeconds(line, r.Duration)
	return append(line, '}', '\n')
}

// appendClient writes who asked, and where.
func appendClient(line []byte, r *Record, p *privacy) []byte {
	line = p.appendClient(line, r.Client.Addr())
	line = appendNumber(line, `,"client_port":`, int(r.Client.Port()))
	line = p.appendRealClient(line, r)
	if r.Server.IsValid() {
		line = appendAddress(append(line, `,"server_ip":`...), r.Server.Addr())
		line = appendNumber(line, `,"server_port":`, int(r.Server.Port()))
	}
	line = appendQuoted(append(line, `,"transport":`...), r.Transport)
	return appendQuoted(append(line, `,"client_class":`...), r.ClientClass)
}

// appendQuestion writes what was asked. The numbers of type and rcode are there
// beside their names because Azure Monitor's and ASIM's columns want them.
func appendQuestion(line []byte, r *Record) []byte {
	line = appendNumber(line, `,"query_id":`, int(r.ID))
	line = appendQuoted(append(line, `,"qname":`...), r.Name)
	line = appendType(append(line, `,"qtype":"`...), r.Type)
	line = appendNumber(line, `","qtype_code":`, int(r.Type))
	line = appendClass(append(line, `,"qclass":"`...), r.Class)
	line = append(line, '"')
	line = appendFlags(line, `,"query_flags":"`, r.QueryFlags)
	if r.QuerySize > 0 {
		line = appendNumber(line, `,"query_size":`, r.QuerySize)
	}
	return line
}

// appendReply writes what the client was told.
func appendReply(line []byte, r *Record) []byte {
	line = appendRcode(append(line, `,"rcode":"`...), r.Rcode)
	line = appendNumber(line, `","rcode_code":`, int(r.Rcode))
	if r.HasEDE {
		line = appendNumber(line, `,"ede_code":`, int(r.EDECode))
		line = appendText(line, `,"ede_text":`, cut(r.EDEText))
	}
	line = appendFlags(line, `,"reply_flags":"`, r.ReplyFlags)
	if r.ReplySize > 0 {
		line = appendNumber(line, `,"reply_size":`, r.ReplySize)
	}
	if len(r.Chain) > 0 {
		line = append(line, `,"chain":[`...)
		for _, name := range r.Chain[:min(len(r.Chain), maxListed)] {
			line = append(appendQuoted(line, name), ',')
		}
		line[len(line)-1] = ']'
	}
	return appendAnswers(line, r.Answers)
}

func appendAnswers(line []byte, answers []netip.Addr) []byte {
	if len(answers) == 0 {
		return line
	}
	line = append(line, `,"answers":[`...)
	for _, address := range answers[:min(len(answers), maxListed)] {
		line = append(appendAddress(line, address), ',')
	}
	line[len(line)-1] = ']'
	return line
}

// appendMeaning writes what the answer means and what policy made of it.
func appendMeaning(line []byte, r *Record) []byte {
	line = appendText(line, `,"verdict":`, r.Verdict)
	line = appendText(line, `,"namespace":`, r.Namespace)
	line = appendText(line, `,"privatelink_zone":`, r.PrivatelinkZone)
	line = appendText(line, `,"uncatalogued_privatelink":`, r.UncataloguedPrivatelink)
	if r.Direct {
		line = append(line, `,"direct":true`...)
	}
	if r.Chase {
		line = append(line, `,"chase":true`...)
	}
	line = appendQuoted(append(line, `,"policy_rule":`...), r.PolicyRule)
	return appendQuoted(append(line, `,"policy_action":`...), r.PolicyAction)
}

// appendWay writes where the answer came from.
func appendWay(line []byte, r *Record) []byte {
	line = appendText(line, `,"cache":`, r.Cache)
	line = appendText(line, `,"route":`, r.Route)
	line = appendText(line, `,"group":`, r.Group)
	line = appendText(line, `,"site":`, r.Site)
	line = appendText(line, `,"upstream":`, r.Upstream)
	line = appendText(line, `,"upstream_transport":`, r.UpstreamTransport)
	if r.UpstreamDuration > 0 {
		line = append(line, `,"upstream_duration_seconds":`...)
		line = appendSeconds(line, r.UpstreamDuration)
	}
	line = appendText(line, `,"fallback":`, r.Fallback)
	return appendText(line, `,"error":`, cut(r.Error))
}

// appendText writes a field unless it is empty. Like every key of this file,
// the field's comes with its comma and colon, so that it is one copy.
func appendText(line []byte, key, value string) []byte {
	if value == "" {
		return line
	}
	return appendQuoted(append(line, key...), value)
}

func appendNumber(line []byte, key string, number int) []byte {
	return strconv.AppendInt(append(line, key...), int64(number), 10)
}

// appendFlags writes the names of the flags that are set, with spaces between.
func appendFlags(line []byte, key string, flags Flags) []byte {
	flags &= 1<<len(flagNames) - 1 // the others have no name
	if flags == 0 {
		return line
	}
	line = append(line, key...)
	for bit, name := range flagNames {
		if flags&(1<<bit) != 0 {
			line = append(append(line, name...), ' ')
		}
	}
	line[len(line)-1] = '"'
	return line
}

// appendAddress writes an address, IPv4 as such also where it came mapped.
// Nobody's address is an empty string.
func appendAddress(line []byte, address netip.Addr) []byte {
	switch {
	case !address.IsValid():
		return append(line, `""`...)
	case address.Zone() != "":
		// An interface may have any name.
		return appendQuoted(line, address.String())
	}
	return append(address.Unmap().AppendTo(append(line, '"')), '"')
}
