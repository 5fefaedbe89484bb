// What a drawing of a graph shows, whatever draws it: a tree of modules, boxes in them, wires between boxes.
//
//   ModelOf (collect.cpp)  everything: a module for each instance and each call of a function, a box for each
//                          expression
//   Close   (close.cpp)    modules below a depth become one box, and one more for their gradient
//   Simplify (simplify.cpp)  what matters for work on the compiler only is left out
//   Fold    (fold.cpp)     layers that are mostly equal become one
//   Refer   (refer.cpp)    what is used in many places is drawn once; further places get a reference
//
// layout.h gives all of it places, svg.h, dot.h and page.h write it. Everything is in a fixed order: the same
// graph always gives the same drawing.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "frontend/drawing/heat.h"
#include "frontend/program.h"
#include "ir/graph.h"

namespace heed::drawing {

/// What a box is; writers give each a colour of its own.
enum class Kind {
  Input,
  Output,
  Parameter,
  Cache,  ///< what decoding keeps from step to step
  Pointwise,
  Reduce,
  Product,
  Axes,  ///< slices, stacks, merges and splits of axes
  Index,
  Random,
  Attention,
  Sum,     ///< of a residual path
  Module,  ///< a closed module
};

/// An expression, or a module that is closed.
struct Box {
  int module = 0;  ///< the innermost open one
  Kind kind = Kind::Pointwise;
  bool gradient = false;   ///< computed while gradients are
  bool reference = false;  ///< stands for a box that is drawn elsewhere
  std::string label;       ///< lines; in the words of the program
  std::string detail;      ///< lines: axes with sizes, masks, counts
  std::string only;        ///< of folded layers, those that have it: "h.0"; "" for all
  std::string place;       ///< in the program, innermost first; "" for nowhere
  std::string tip;         ///< what else there is to say of it: types with all axes
  int pair = -1;           ///< of a gradient: the box whose gradient it is
  ir::NodeId node;         ///< one of the graph's nodes, if it is an expression
  Work work;               ///< of all values that it shows, if they were measured
};

/// How an attention is drawn.
struct AttentionWords {
  std::string heads, width;  ///< "heads 8", "key 64"; empty if there are none
  std::string over;          ///< the axis it looks along: "tgt'"
  std::string mask;          ///< as in the program: "tgt' ≤ tgt"; "" for every position
};

/// An instance, or a call of a function; module 0 is the whole graph.
struct Module {
  enum class Kind { Whole, Part, Call, Entry } kind = Kind::Whole;
  int parent = -1;
  std::string name;        ///< "h.0", "attn"; of a call, the function's
  std::string path;        ///< of the instance: "h.0.attn"
  std::string class_name;  ///< "Block"; "" if it is not known
  int count = 1;           ///< how many equal layers it stands for
  std::string layers;      ///< of folded ones: "0 … 11"
  int64_t parameters = 0;  ///< numbers in the parameters of one of them
  std::optional<AttentionWords> attention;
  std::string place;
};

/// From the box that makes a value to one that takes it.
struct Wire {
  enum class Kind {
    Data,
    Gradient,  ///< between boxes of the gradient: layouts rank it against its direction
    Saved,     ///< computed forward, used by the gradient
    Carried,   ///< from one step of decoding to the next: what is written to a cache
  };
  int from = 0, to = 0;
  Kind kind = Kind::Data;
  int count = 1;  ///< values between the two
};

/// An axis that occurs, for the legend.
struct AxisWords {
  std::string name;  ///< "seq"
  std::string size;  ///< "768", "≤ 1,024"
};

struct Model {
  std::string title;
  std::vector<Module> modules;  ///< the first is the whole
  std::vector<Box> boxes;       ///< in the order of the graph
  std::vector<Wire> wires;
  std::vector<AxisWords> axes;
  int64_t parameters = 0;      ///< numbers in all of them
  std::string lifted;          ///< axes that every value has and no box names: "batch"
  bool padding = false;        ///< positions past an end are left out somewhere
  bool twins = false;          ///< an axis like seq' occurs
  std::optional<Scale> scale;  ///< what the boxes' work is part of, if it was measured
};

/// How much is open.
enum class Depth {
  Modules,  ///< stacks of layers and what holds them
  One,      ///< a level more: what the parts of a layer are made of
  Ops,      ///< everything
};

/// Everything in a graph. Without `words`, modules have no classes and calls of functions are no modules.
/// `wordy`: expressions as programs write them, products inside arithmetic. `measured`: null, or what the
/// graph's values took.
Model ModelOf(const ir::Graph& graph, const frontend::ProgramWords* words, const std::string& title,
              bool wordy, const MeasuredGraph* measured);
void Close(Model& model, Depth depth);
void Simplify(Model& model);
void Fold(Model& model);
void Refer(Model& model);

/// All of that.
Model Describe(const ir::Graph& graph, const frontend::ProgramWords* words, const std::string& title,
               Depth depth, bool unroll, const MeasuredGraph* measured = nullptr);

// ---- For those who change a model

/// Modules from the outermost to `module`, both included.
std::vector<int> Path(const Model& model, int module);
/// Box i becomes part of box stands_for[i] (itself: it stays); wires between the same boxes become one.
void Unite(Model& model, const std::vector<int>& stands_for);
/// Drops modules without boxes, and numbers modules and boxes anew.
void Compact(Model& model);

/// "7.1 M", "12 k", "768".
std::string ShortNumber(int64_t number);
/// "37,000".
std::string LongNumber(int64_t number);

}  // namespace heed::drawing
