// Command kubernetes is every program of the local cluster in one binary.
//
// The first argument chooses the program; the rest are its own arguments:
//
//	kubernetes kube-apiserver --etcd-servers=...
//
// One binary links the large shared packages once, so the build takes minutes instead of an hour
// and the cluster's programs share their pages in memory. Nothing of Kubernetes is copied: each
// program is the public entry point of its own module, at the versions that go.mod pins.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"sort"

	_ "github.com/coredns/coredns/plugin/cache"
	_ "github.com/coredns/coredns/plugin/errors"
	_ "github.com/coredns/coredns/plugin/forward"
	_ "github.com/coredns/coredns/plugin/health"
	_ "github.com/coredns/coredns/plugin/kubernetes"
	_ "github.com/coredns/coredns/plugin/ready"

	"github.com/coredns/coredns/coremain"
	"github.com/spf13/cobra"
	"go.etcd.io/etcd/server/v3/etcdmain"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
	kubectl "k8s.io/kubectl/pkg/cmd"
	kubectlutil "k8s.io/kubectl/pkg/cmd/util"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	kubeproxy "k8s.io/kubernetes/cmd/kube-proxy/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
	kubelet "k8s.io/kubernetes/cmd/kubelet/app"
	metricsserver "sigs.k8s.io/metrics-server/cmd/metrics-server/app"
)

// A program reads os.Args, as its own main function would, and returns its exit status.
type program func() int

// command adapts the programs that are one cobra command.
func command(build func() *cobra.Command) program {
	return func() int { return cli.Run(build()) }
}

var programs = map[string]program{
	"etcd":                    func() int { etcdmain.Main(os.Args); return 0 },
	"coredns":                 func() int { coremain.Run(); return 0 },
	"kube-apiserver":          command(apiserver.NewAPIServerCommand),
	"kube-controller-manager": command(controllermanager.NewControllerManagerCommand),
	"kube-proxy":              command(kubeproxy.NewProxyCommand),
	"kube-scheduler": command(func() *cobra.Command {
		return scheduler.NewSchedulerCommand()
	}),
	"kubelet": command(func() *cobra.Command {
		return kubelet.NewKubeletCommand(context.Background())
	}),
	"kubectl": runKubectl,
	"metrics-server": command(func() *cobra.Command {
		return metricsserver.NewMetricsServerCommand(genericapiserver.SetupSignalHandler())
	}),
}

// runKubectl differs from the servers: its errors are for people and carry their own exit status.
func runKubectl() int {
	// CoreDNS adds its flags to Go's global set when it is imported; kubectl would list them as its.
	flag.CommandLine = flag.NewFlagSet("kubectl", flag.ExitOnError)
	command := kubectl.NewDefaultKubectlCommand()
	if err := cli.RunNoErrOutput(command); err != nil {
		kubectlutil.CheckErr(err)
	}
	return 0
}

// choose finds the program by the name the binary was called by, or else by the first argument,
// which it then removes, so that the program sees the arguments that its own binary would.
func choose(arguments []string) (program, []string) {
	if run, found := programs[filepath.Base(arguments[0])]; found {
		return run, arguments
	}
	if len(arguments) > 1 {
		if run, found := programs[arguments[1]]; found {
			return run, arguments[1:]
		}
	}
	return nil, arguments
}

func main() {
	run, arguments := choose(os.Args)
	if run == nil {
		names := make([]string, 0, len(programs))
		for name := range programs {
			names = append(names, name)
		}
		sort.Strings(names)
		fmt.Fprintf(os.Stderr, "usage: %s PROGRAM [ARGUMENT...]\nprograms: %v\n", os.Args[0], names)
		os.Exit(2)
	}
	os.Args = arguments
	os.Exit(run())
}
