// A channel past a cylinder, 2.2 by 0.41, of triangles, four times finer at the cylinder.
// Boundary parts: inflow (left), outflow (right), bottom, top, cylinder.
DefineConstant[ mesh_size = {0.05, Name "mesh_size"} ];
h = mesh_size;
Mesh.MeshSizeMax = h;
Mesh.MeshSizeExtendFromBoundary = 0;
Mesh.MeshSizeFromPoints = 0;
Mesh.Algorithm = 6;

length = 2.2;
height = 0.41;
cx = 0.2;
cy = 0.2;
radius = 0.05;

Point(1) = {0, 0, 0};
Point(2) = {length, 0, 0};
Point(3) = {length, height, 0};
Point(4) = {0, height, 0};
Line(1) = {1, 2};
Line(2) = {2, 3};
Line(3) = {3, 4};
Line(4) = {4, 1};
Curve Loop(1) = {1, 2, 3, 4};

Point(10) = {cx, cy, 0};
Point(11) = {cx + radius, cy, 0};
Point(12) = {cx, cy + radius, 0};
Point(13) = {cx - radius, cy, 0};
Point(14) = {cx, cy - radius, 0};
Circle(11) = {11, 10, 12};
Circle(12) = {12, 10, 13};
Circle(13) = {13, 10, 14};
Circle(14) = {14, 10, 11};
Curve Loop(2) = {11, 12, 13, 14};

Plane Surface(1) = {1, 2};

Field[1] = Distance;
Field[1].CurvesList = {11, 12, 13, 14};
Field[1].Sampling = 100;
Field[2] = Threshold;
Field[2].InField = 1;
Field[2].SizeMin = h / 4;
Field[2].SizeMax = h;
Field[2].DistMin = radius / 2;
Field[2].DistMax = 6 * radius;
Background Field = 2;

Physical Surface("water") = {1};
Physical Curve("inflow") = {4};
Physical Curve("outflow") = {2};
Physical Curve("bottom") = {1};
Physical Curve("top") = {3};
Physical Curve("cylinder") = {11, 12, 13, 14};
