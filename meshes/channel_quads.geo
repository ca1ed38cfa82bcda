// A channel past a cylinder, 2.2 by 0.41, of quadrilaterals: four blocks between the cylinder and a
// square around it, graded towards the cylinder, and one block downstream.
// Boundary parts: inflow (left), outflow (right), bottom, top, cylinder.
DefineConstant[ mesh_size = {0.05, Name "mesh_size"} ];
h = mesh_size;

length = 2.2;
height = 0.41;
cx = 0.2;
cy = 0.2;
radius = 0.05;
across = Max(2, Ceil(height / h)); // cells along a side of the square
radial = Max(2, Ceil(0.25 / h));   // cells between the cylinder and the square
along = Max(2, Ceil((length - height) / h));
growth = 8 ^ (1 / radial);         // of a cell to the next one outwards, 8 in all

// the square, and the block downstream
Point(1) = {0, 0, 0};
Point(2) = {height, 0, 0};
Point(3) = {height, height, 0};
Point(4) = {0, height, 0};
Point(5) = {length, 0, 0};
Point(6) = {length, height, 0};
Line(1) = {1, 2};
Line(2) = {2, 3};
Line(3) = {3, 4};
Line(4) = {4, 1};
Line(5) = {2, 5};
Line(6) = {5, 6};
Line(7) = {6, 3};

// the cylinder, cut where the diagonals of the square meet it
d = radius / Sqrt(2);
Point(10) = {cx, cy, 0};
Point(11) = {cx - d, cy - d, 0};
Point(12) = {cx + d, cy - d, 0};
Point(13) = {cx + d, cy + d, 0};
Point(14) = {cx - d, cy + d, 0};
Circle(11) = {11, 10, 12};
Circle(12) = {12, 10, 13};
Circle(13) = {13, 10, 14};
Circle(14) = {14, 10, 11};
Line(21) = {11, 1};
Line(22) = {12, 2};
Line(23) = {13, 3};
Line(24) = {14, 4};

Curve Loop(1) = {1, -22, -11, 21};
Curve Loop(2) = {2, -23, -12, 22};
Curve Loop(3) = {3, -24, -13, 23};
Curve Loop(4) = {4, -21, -14, 24};
Curve Loop(5) = {5, 6, 7, -2};
For i In {1 : 5}
    Plane Surface(i) = {i};
EndFor

Transfinite Curve {1, 2, 3, 4, 6, 11, 12, 13, 14} = across + 1;
Transfinite Curve {21, 22, 23, 24} = radial + 1 Using Progression growth;
Transfinite Curve {5, 7} = along + 1;
Transfinite Surface {1, 2, 3, 4, 5};
Recombine Surface {1, 2, 3, 4, 5};

Physical Surface("water") = {1, 2, 3, 4, 5};
Physical Curve("inflow") = {4};
Physical Curve("outflow") = {6};
Physical Curve("bottom") = {1, 5};
Physical Curve("top") = {3, 7};
Physical Curve("cylinder") = {11, 12, 13, 14};
