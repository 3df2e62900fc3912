package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/privatelink-dns/privatelink-dns/plugin/privatelink"
)

// progressLine is a line on a terminal that says what is being examined; elsewhere it is
// nothing.
type progressLine struct {
	out io.Writer
	// bar is how it was drawn last.
	bar string
}

func newProgressLine(out io.Writer) *progressLine {
	file, isFile := out.(*os.File)
	if !isFile || os.Getenv("TERM") == "dumb" {
		return &progressLine{out: io.Discard}
	}
	if info, err := file.Stat(); err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return &progressLine{out: io.Discard}
	}
	return &progressLine{out: out}
}

// barWidth is that of the bar of the progress display.
const barWidth = 20

func (p *progressLine) show(done, all int, what string) {
	filled := done * barWidth / max(all, 1)
	p.bar = "[" + strings.Repeat("=", filled) + strings.Repeat(" ", barWidth-filled) + "] "
	p.within(what)
}

// within says more of what is being examined.
func (p *progressLine) within(what string) {
	p.clear()
	fmt.Fprint(p.out, p.bar+what)
}

// clear empties the line (ECMA-48, EL).
func (p *progressLine) clear() { fmt.Fprint(p.out, "\r\x1b[K") }

// marks stand in front of findings, so that they can be told without colours.
var marks = map[privatelink.Severity]string{
	privatelink.Fine: "ok", privatelink.Warning: "look", privatelink.Fault: "FAULT", skipped: "-",
}

// print writes every finding with its next step. The last line is the worst.
func (c *checkup) print(out io.Writer, paint paint) {
	check := ""
	for _, each := range c.findings {
		if each.Check != check {
			check = each.Check
			fmt.Fprintln(out, paint.bold(check))
		}
		mark := fmt.Sprintf("%-5s", marks[each.Severity])
		if each.Severity != skipped {
			mark = paint.severity(each.Severity, mark)
		}
		printHanging(out, "  "+mark+" ", "        ", sentence(each), pageWidthOf(out)-8)
		each.printZones(out, "            ")
		if each.Next != "" {
			printHanging(out, "          ", "          ", "next: "+each.Next, pageWidthOf(out)-10)
		}
	}
	fmt.Fprintln(out)
	worst := c.worst()
	text := sentence(worst)
	if worst.Severity != privatelink.Fine {
		text = worst.Check + ", " + text
	}
	fmt.Fprintln(out, paint.severity(worst.Severity, text))
}

// sentence is a finding with its subject.
func sentence(each finding) string {
	if each.Subject == "" {
		return each.Text
	}
	return each.Subject + ": " + each.Text
}

// printHanging writes a text in lines of a width, the first behind one indent and the
// others, a little deeper, behind another.
func printHanging(out io.Writer, first, others, text string, width int) {
	for index, line := range wrap(text, width) {
		if index > 0 {
			first, line = others, "  "+line
		}
		fmt.Fprintf(out, "%s%s\n", first, line)
	}
}
