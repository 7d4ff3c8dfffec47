package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"runtime/debug"
	"slices"
)

// question is what a case asks; fields that only answers have are left to the raw line.
type question struct {
	Config     settings   `json:"config"`
	Policies   []string   `json:"policies"`
	Services   []service  `json:"services"`
	Identities []peer     `json:"identities"`
	Subject    uint32     `json:"subject"`
	NamedPorts namedPorts `json:"named_ports"`
	Flows      []flow     `json:"flows"`
}

type peer struct {
	ID     uint32   `json:"id"`
	Labels []string `json:"labels"`
}

type namedPorts struct {
	Subject []namedPort `json:"subject"`
	Cluster []namedPort `json:"cluster"`
}

type namedPort struct {
	Name     string `json:"name"`
	Port     int    `json:"port"`
	Protocol string `json:"protocol"`
}

// flow is one question, and when it is answered its answer.
type flow struct {
	Direction string   `json:"direction"`
	Peer      uint32   `json:"peer"`
	Protocol  string   `json:"protocol"`
	Port      uint16   `json:"port"`
	Verdict   string   `json:"verdict"`
	Redirect  *string  `json:"redirect"`
	Auth      *string  `json:"auth"`
	L7        *content `json:"l7,omitempty"`
}

// leftOut counts the flows of a case that have no one answer.
type leftOut struct {
	// Varying: the answer depends on the order of documents or of a map.
	Varying int `json:"varying"`
	// Shared: several parsers share the redirect's proxy port, so none can be named.
	Shared int `json:"shared"`
}

// answerAll reads cases, one JSON object a line, and writes each with upstream's answers.
func answerAll(from io.Reader, to io.Writer, rounds int) {
	debug.SetGCPercent(400)
	lines := bufio.NewReaderSize(from, 1<<20)
	out := bufio.NewWriterSize(to, 1<<20)
	defer func() { must(out.Flush()) }()
	for {
		line, err := lines.ReadBytes('\n')
		if len(bytes.TrimSpace(line)) > 0 {
			must(json.NewEncoder(out).Encode(answerLine(line, rounds)))
		}
		if err == io.EOF {
			return
		}
		must(err)
	}
}

// answerLine gives the object of a case with its answers in it.
func answerLine(line []byte, rounds int) map[string]any {
	var raw map[string]any
	var asked question
	must(json.Unmarshal(line, &raw))
	must(json.Unmarshal(line, &asked))
	if bytes.Contains(line, []byte("authentication")) {
		rounds *= 3
	}
	asked.Config.apply()
	all := make([]outcome, rounds)
	for round := range all {
		all[round] = ask(&asked, round)
	}
	first := all[0]
	raw["engine"] = "1.20.1"
	raw["policy_errors"] = first.refused
	raw["policy_error_texts"] = first.reasons
	raw["cidr_prefixes"] = first.prefixes
	raw["ingress_enforced"], raw["egress_enforced"] = first.ingress, first.egress
	failed := 0
	for _, each := range all {
		if each.failure != nil {
			failed++
			raw["resolve_error_text"] = each.failure.Error()
		}
	}
	raw["resolve_error"] = failed == rounds
	var out leftOut
	answered := []flow{}
	switch {
	case failed == rounds:
	case failed > 0:
		out.Varying = len(asked.Flows)
	default:
		answered = settled(asked.Flows, all, &out)
	}
	raw["flows"], raw["left_out"] = answered, out
	return raw
}

// settled keeps the flows that were answered alike in every round.
func settled(flows []flow, all []outcome, out *leftOut) []flow {
	answered := make([]flow, 0, len(flows))
	for i, asked := range flows {
		first := all[0].answers[i]
		alike := func(each outcome) bool { return each.answers[i].same(&first) }
		switch {
		case slices.ContainsFunc(all, func(each outcome) bool { return each.answers[i].shared }):
			out.Shared++
		case slices.ContainsFunc(all, func(each outcome) bool { return !alike(each) }):
			out.Varying++
		default:
			answered = append(answered, first.of(asked))
		}
	}
	return answered
}

// answer is what upstream says about one flow.
type answer struct {
	denied   bool
	redirect string
	auth     string
	content  *content
	shared   bool
}

func (a *answer) same(other *answer) bool {
	return a.denied == other.denied && a.redirect == other.redirect && a.auth == other.auth && a.content.text() == other.content.text()
}

// of writes the answer into its flow.
func (a *answer) of(asked flow) flow {
	asked.Verdict, asked.Redirect, asked.Auth, asked.L7 = "allowed", optional(a.redirect), optional(a.auth), a.content
	if a.denied {
		asked.Verdict = "denied"
	}
	return asked
}

func optional(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

// content is what a proxy is told about the requests of a flow.
type content struct {
	AllowAll    bool              `json:"allow_all"`
	Rules       []json.RawMessage `json:"rules,omitempty"`
	ServerNames []string          `json:"server_names,omitempty"`
	Listener    string            `json:"listener,omitempty"`
}

func (c *content) text() string {
	if c == nil {
		return ""
	}
	text, err := json.Marshal(c)
	must(err)
	return string(text)
}
