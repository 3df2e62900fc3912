package main

import (
	"fmt"
	"io"
	"strings"
)

const licencesHead = `# Licences of what is in the binary

Made by ` + "`make licences`" + `; a test holds that it is current. The modules are those of a build for Linux, the texts below
are theirs.

| module | version | licence |
| --- | --- | --- |
`

// writeLicences writes a table of all modules, and every text once.
func writeLicences(out io.Writer) error {
	all, err := modules()
	if err != nil {
		return err
	}
	var table, texts strings.Builder
	var order []string
	users := map[string][]string{}
	for _, m := range all {
		l, err := m.licence()
		if err != nil {
			return err
		}
		fmt.Fprintf(&table, "| %s | %s | %s |\n", m.Path, m.Version, strings.Join(l.identifiers, ", "))
		for _, t := range l.texts {
			if users[t.content] == nil {
				order = append(order, t.content)
			}
			users[t.content] = append(users[t.content], fmt.Sprintf("%s of %s", t.name, m.Path))
		}
	}
	for _, content := range order {
		fmt.Fprintf(&texts, "\n## %s\n\n````` txt\n%s\n`````\n", strings.Join(users[content], "; "), trimmed(content))
	}
	_, err = io.WriteString(out, licencesHead+table.String()+texts.String())
	return err
}

// trimmed is a text without spaces at the ends of lines and lines at its end.
func trimmed(content string) string {
	lines := strings.Split(strings.Trim(content, "\n"), "\n")
	for i, line := range lines {
		lines[i] = strings.TrimRight(line, " \t\f")
	}
	return strings.TrimRight(strings.Join(lines, "\n"), "\n")
}
