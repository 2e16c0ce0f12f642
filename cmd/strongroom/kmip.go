package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"strongroom/kmip/replay"
	"strongroom/kmip/ttlv"
)

// kmipCommand holds the commands that speak the protocol itself.
func (p *program) kmipCommand() *cobra.Command {
	return group("kmip", "The protocol itself", p.sendCommand(), p.replayCommand())
}

func (p *program) sendCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "send FILE",
		Short: "Send one KMIP message, written in XML or JSON",
		Long: `Send the Request Message in a file (- is standard input), which is in KMIP's XML or JSON encoding, and print the Response
Message in the same one; with --json in JSON. Nothing is added to the message: its header says the version, and whether its
operations succeeded is said by the answer.

To a server over HTTPS (--server https://HOST:PORT) the message goes in the encoding that it is written in.`,
		Example: "  strongroom kmip send query.xml\n  strongroom kmip send - < request.json\n  strongroom kmip send --server https://localhost:8443 request.json",
		Args:    arguments(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			request, form, err := p.readMessage(args[0])
			if err != nil {
				return err
			}
			response, err := p.send(cmd.Context(), request, form)
			if err != nil {
				return err
			}
			if p.json {
				form = messageJSON
			}
			text, err := form.write(response)
			if err != nil {
				return fmt.Errorf("writing the answer: %w", err)
			}
			_, err = fmt.Fprintf(p.out, "%s\n", text)
			return err
		},
	}
}

// A messageForm is one of the encodings of a message in text.
type messageForm struct {
	mediaType string // over HTTPS
	read      func([]byte, *ttlv.Limits) (ttlv.Node, error)
	write     func(ttlv.Node) ([]byte, error)
}

var (
	messageXML  = messageForm{"text/xml", ttlv.ParseXML, ttlv.Node.XML}
	messageJSON = messageForm{"application/json", ttlv.ParseJSON, indentedJSON}
)

// answerLimits are those of an answer that is shown.
var answerLimits = &ttlv.Limits{Size: 64 << 20, Items: 1 << 20}

// indentedJSON is a message in JSON with a line for each item.
func indentedJSON(n ttlv.Node) ([]byte, error) {
	text, err := n.JSON()
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	err = json.Indent(&b, text, "", "  ")
	return b.Bytes(), err
}

// readMessage reads a Request Message, and tells its form.
func (p *program) readMessage(name string) (ttlv.Node, messageForm, error) {
	var text []byte
	err := p.read(name, func(r io.Reader, _ *os.File) (err error) {
		text, err = io.ReadAll(r)
		return err
	})
	if err != nil {
		return ttlv.Node{}, messageForm{}, err
	}
	form := messageXML
	if bytes.HasPrefix(bytes.TrimSpace(text), []byte("{")) {
		form = messageJSON
	}
	n, err := form.read(text, nil)
	if err == nil && n.Tag != ttlv.TagRequestMessage {
		err = fmt.Errorf("a %v, must be a %v", n.Tag, ttlv.TagRequestMessage)
	}
	if err != nil {
		return n, form, fmt.Errorf("reading the message %q: %w", name, err)
	}
	return n, form, nil
}

// send sends a message and reads the answer. Over HTTPS, both are in the form.
func (p *program) send(ctx context.Context, request ttlv.Node, form messageForm) (ttlv.Node, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, p.timeout, fmt.Errorf("no answer within %v", p.timeout))
	defer cancel()
	c, err := p.connected(ctx)
	if err != nil {
		return ttlv.Node{}, err
	}
	read, answer := ttlv.Parse, []byte(nil)
	if c.HTTPS() {
		var text []byte
		if text, err = form.write(request); err != nil {
			return ttlv.Node{}, err
		}
		read = form.read
		answer, err = c.Post(ctx, form.mediaType, text)
	} else {
		answer, err = c.RoundTripRaw(ctx, request.Append(nil))
	}
	if err != nil {
		return ttlv.Node{}, err
	}
	response, err := read(answer, answerLimits)
	if err != nil {
		err = fmt.Errorf("reading the answer: %w", err)
	}
	return response, err
}

// exchange sends an encoded message and gives its answer.
func (p *program) exchange(ctx context.Context, request []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, p.timeout, fmt.Errorf("no answer within %v", p.timeout))
	defer cancel()
	c, err := p.connected(ctx)
	if err != nil {
		return nil, err
	}
	return c.RoundTripRaw(ctx, request)
}

// A score is the answer of kmip replay: what the cases of one folder came to.
type score struct {
	Folder string          `json:"folder"`
	Cases  int             `json:"cases"`
	Passed int             `json:"passed"`
	Failed []failedVerdict `json:"failed,omitempty"`
}

// A failedVerdict is a case whose answers are not those expected.
type failedVerdict struct {
	Case        string   `json:"case"`
	Differences []string `json:"differences"`
}

func (p *program) replayCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "replay DIR",
		Short: "Play test cases of the KMIP profiles against the server",
		Long: `Play all test cases below a folder, files *.xml as OASIS publishes them with the KMIP profiles, in the order of their names, and
compare the server's answers with those expected. What may vary by the profiles' rules (identifiers, dates, keys that
the server made, …) is not compared. Objects that a case does not destroy remain, and belong to you.

The program ends with 1 if a case fails.`,
		Example: "  strongroom kmip replay test-cases/kmip-v2.1",
		Args:    arguments(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			files, err := casesIn(args[0])
			if err != nil {
				return err
			}
			scores, err := p.play(cmd.Context(), args[0], files)
			if err != nil {
				return err
			}
			return p.tell(scores)
		},
	}
}

// casesIn are the files of test cases below a folder.
func casesIn(dir string) (files []string, err error) {
	err = filepath.WalkDir(dir, func(name string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() && filepath.Ext(name) == ".xml" {
			files = append(files, name)
		}
		return err
	})
	if err == nil && len(files) == 0 {
		err = misused("there are no test cases (*.xml) in %q", dir)
	}
	return files, err
}

// play plays cases in order. There is a score for each folder, which is told relative to dir.
func (p *program) play(ctx context.Context, dir string, files []string) ([]*score, error) {
	var scores []*score
	player := replay.NewPlayer(p.exchange)
	for _, file := range files {
		folder, err := filepath.Rel(dir, filepath.Dir(file))
		if err != nil {
			return nil, err
		}
		if len(scores) == 0 || scores[len(scores)-1].Folder != folder {
			scores = append(scores, &score{Folder: folder})
		}
		s := scores[len(scores)-1]
		c, err := replay.Load(file)
		if err != nil {
			return nil, err
		}
		differences, err := player.Play(ctx, c)
		if err != nil {
			return nil, err
		}
		s.Cases++
		if len(differences) == 0 {
			s.Passed++
			continue
		}
		v := failedVerdict{Case: c.Name}
		for _, d := range differences {
			v.Differences = append(v.Differences, d.String())
		}
		s.Failed = append(s.Failed, v)
	}
	return scores, nil
}

// tell prints scores. It is an error that a case failed.
func (p *program) tell(scores []*score) error {
	failed := 0
	var text bytes.Buffer
	for _, s := range scores {
		failed += len(s.Failed)
		fmt.Fprintf(&text, "%s: %d of %d cases pass\n", s.Folder, s.Passed, s.Cases)
		for _, v := range s.Failed {
			fmt.Fprintf(&text, "  %s\n", v.Case)
			for _, d := range v.Differences {
				fmt.Fprintf(&text, "    %s\n", d)
			}
		}
	}
	if err := p.answer(scores, "%s", bytes.TrimSuffix(text.Bytes(), []byte("\n"))); err != nil {
		return err
	}
	switch failed {
	case 0:
		return nil
	case 1:
		return errors.New("one test case fails")
	}
	return fmt.Errorf("%d test cases fail", failed)
}
