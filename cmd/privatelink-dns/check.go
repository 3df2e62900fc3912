package main

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"log"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/coredns/caddy"
	"github.com/coredns/caddy/caddyfile"
	"github.com/coredns/coredns/core/dnsserver"
	"github.com/spf13/cobra"

	"github.com/privatelink-dns/privatelink-dns/plugin/privatelink"
)

// checkOptions are the flags of the command check.
type checkOptions struct {
	corefile string
	asJSON   bool
	// machine is looked at for what the configuration alone cannot tell.
	machine func() (privatelink.Machine, error)
}

func newCheckCommand() *cobra.Command {
	options := &checkOptions{machine: privatelink.ThisMachine}
	command := &cobra.Command{
		Use:   "check",
		Short: "Find the mistakes of a configuration without starting it",
		Long: "Read the Corefile and every file it names, and tell every mistake at once, each with file and line. What\n" +
			"is legal but wrong is a warning: routes that are never reached, names of private endpoints sent where\n" +
			"their zones cannot be seen, 168.63.129.16 from outside of Azure, fallbacks that are none or leak. Nothing is\n" +
			"started or asked. Ends with 0 where all is clean, 2 with warnings, 1 with mistakes.",
		Example: "  privatelink-dns check -c /etc/privatelink-dns/Corefile\n  privatelink-dns check --json | jq -r '.remarks[].code'",
		Args:    cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			return options.run(command.OutOrStdout())
		},
	}
	addCorefileFlag(command.Flags(), &options.corefile, "the Corefile to check")
	command.Flags().BoolVar(&options.asJSON, "json", false, "print JSON")
	return command
}

func (o *checkOptions) run(out io.Writer) error {
	remarks, err := o.check()
	if err != nil {
		return err
	}
	if o.asJSON {
		err = printJSON(out, struct {
			Corefile string               `json:"corefile"`
			Remarks  []privatelink.Remark `json:"remarks"`
		}{o.corefile, append([]privatelink.Remark{}, remarks...)})
	} else {
		printRemarks(out, o.corefile, remarks, paintFor(out))
	}
	switch mistakes, warnings := countRemarks(remarks); {
	case err != nil:
		return err
	case mistakes > 0:
		return mistakesError{}
	case warnings > 0:
		return findingError("")
	}
	return nil
}

// mistakesError ends check with codeFailed; the output tells what was found.
type mistakesError struct{}

func (mistakesError) Error() string { return "" }

// check returns what is wrong: every mistake, of our stanzas and of what stands beside
// them, and where there is none the warnings.
func (o *checkOptions) check() ([]privatelink.Remark, error) {
	contents, err := readCorefile(o.corefile)
	if err != nil {
		return located(o.corefile, err), nil
	}
	stanzas, ours := privatelink.ReadStanzas(o.corefile, directives())
	machine, err := o.machine()
	if err != nil {
		return nil, err
	}
	// Stanzas with mistakes are not among them, the others are looked at all the same.
	remarks, err := privatelink.Lint(stanzas, machine)
	mistakes := append(located(o.corefile, ours), located(o.corefile, err)...)
	all := append(append(mistakes, o.mistakesBeside(contents)...), remarks...)
	slices.SortStableFunc(all, privatelink.Remark.Compare)
	return slices.Compact(all), nil
}

// readCorefile reads a Corefile that can be parsed.
func readCorefile(path string) ([]byte, error) {
	input, err := (&corefileSource{path: path}).read()
	if err != nil {
		return nil, err
	}
	return input.Body(), nil
}

// maxMistakesBeside bounds the work for a file that is broken all over.
const maxMistakesBeside = 32

// mistakesBeside finds the mistakes of other plugins. Their setup tells one and stops,
// so it is run again without the lines that the mistake is of; and without our own,
// whose mistakes are known.
func (o *checkOptions) mistakesBeside(contents []byte) []privatelink.Remark {
	lines := bytes.Split(contents, []byte("\n"))
	blank(o.corefile, lines, func(directive string, _ int) bool { return directive == "privatelink" })
	var remarks []privatelink.Remark
	for range maxMistakesBeside {
		err := setUp(o.corefile, bytes.Join(lines, []byte("\n")))
		found := located(o.corefile, err)
		if len(found) == 0 {
			break
		}
		wrong := directiveOf(o.corefile, lines, &found[0])
		remarks = append(remarks, found...)
		if !blank(o.corefile, lines, wrong) {
			break
		}
	}
	return remarks
}

// directiveOf tells which directive a mistake is of: that of its line or, where it has
// none, that of its plugin, whose first line it then gets.
func directiveOf(path string, lines [][]byte, mistake *privatelink.Remark) func(directive string, line int) bool {
	where := mistake.Where
	if line, err := strconv.Atoi(where[strings.LastIndex(where, ":")+1:]); err == nil {
		return func(_ string, at int) bool { return at == line }
	}
	plugin, text, _ := strings.Cut(strings.TrimPrefix(mistake.Text, "plugin/"), ": ")
	blocks, _ := caddyfile.Parse(path, bytes.NewReader(bytes.Join(lines, []byte("\n"))), nil)
	for _, block := range blocks {
		if tokens := block.Tokens[plugin]; len(tokens) > 0 && mistake.Where == path {
			mistake.Where, mistake.Text = fmt.Sprintf("%s:%d", cmp.Or(tokens[0].File, path), tokens[0].Line), plugin+": "+text
		}
	}
	return func(directive string, _ int) bool { return directive == plugin }
}

// blank empties the lines of every directive that has a line which is to go, and
// reports whether there was one.
func blank(path string, lines [][]byte, isToGo func(directive string, line int) bool) bool {
	blocks, err := caddyfile.Parse(path, bytes.NewReader(bytes.Join(lines, []byte("\n"))), nil)
	if err != nil {
		return false
	}
	emptied := false
	for _, block := range blocks {
		for directive, tokens := range block.Tokens {
			goes := slices.ContainsFunc(tokens, func(token caddyfile.Token) bool {
				return cmp.Or(token.File, path) == path && isToGo(directive, token.Line)
			})
			for _, token := range tokens {
				if goes && cmp.Or(token.File, path) == path && token.Line <= len(lines) {
					lines[token.Line-1], emptied = nil, true
				}
			}
		}
	}
	return emptied
}

// setUp runs the setup of every plugin, which reads its lines and starts nothing.
func setUp(path string, contents []byte) error {
	caddy.Quiet, dnsserver.Quiet = true, true
	defer log.SetOutput(log.Writer())
	log.SetOutput(io.Discard)
	if err := dnsserver.SetDirectives(directives()); err != nil {
		return err
	}
	input := caddy.CaddyfileInput{Contents: contents, Filepath: path, ServerTypeName: serverType}
	return caddy.ValidateAndExecuteDirectives(input, nil, true)
}

// located makes remarks of mistakes, with the place of those that caddy tells in words
// of its own.
func located(path string, err error) []privatelink.Remark {
	if err == nil {
		return nil
	}
	text := caddyPlace.ReplaceAllString(err.Error(), "$1:$2: $3")
	remarks := privatelink.MistakesOf(errors.New(text))
	for index := range remarks {
		if remarks[index].Where == "" {
			remarks[index].Where = path
		}
	}
	return remarks
}

// caddyPlace is how caddy says where a mistake is: "Corefile:3 - Error during parsing: …".
var caddyPlace = regexp.MustCompile(`(?m)^(?:plugin/[^:]+: )?(\S+):(\d+) - (?:Error during parsing: |Syntax error: )?(.*)$`)

func countRemarks(remarks []privatelink.Remark) (mistakes, warnings int) {
	for _, remark := range remarks {
		if remark.Severity == privatelink.Fault {
			mistakes++
		} else {
			warnings++
		}
	}
	return mistakes, warnings
}

// printRemarks writes one line a remark, as compilers do, and a last one with the count.
func printRemarks(out io.Writer, corefile string, remarks []privatelink.Remark, paint paint) {
	for _, remark := range remarks {
		word := map[privatelink.Severity]string{privatelink.Fault: "error", privatelink.Warning: "warning"}[remark.Severity]
		fmt.Fprintf(out, "%s: %s: %s [%s]\n", remark.Where, paint.severity(remark.Severity, word), remark.Text, remark.Code)
	}
	mistakes, warnings := countRemarks(remarks)
	if mistakes+warnings == 0 {
		fmt.Fprintln(out, paint.green(corefile+": clean"))
		return
	}
	var counts []string
	for _, count := range []struct {
		number int
		word   string
	}{{mistakes, "error"}, {warnings, "warning"}} {
		if count.number > 0 {
			counts = append(counts, plural(count.number, count.word))
		}
	}
	fmt.Fprintf(out, "%s: %s\n", corefile, strings.Join(counts, ", "))
}

func plural(count int, word string) string {
	if count != 1 {
		word += "s"
	}
	return strconv.Itoa(count) + " " + word
}
